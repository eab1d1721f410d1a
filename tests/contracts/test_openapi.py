"""The OpenAPI document is complete and true, and the reference page shows all of it without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.requests import Request

from app.api.documented import TAGS
from app.api.reference import bodies_of, groups_of
from app.core.rendering import Shape, shape_of
from app.main import create_app
from tests.conftest import make_settings
from tests.harness import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(make_settings(tmp_path_factory.mktemp("openapi")), worker=False) as service:
        yield service


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    schema: dict[str, Any] = create_app(make_settings(tmp_path_factory.mktemp("document"))).openapi()
    return schema


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            yield method.upper(), path, said


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in TAGS}
    ids = [said["operationId"] for _, _, said in operations(document)]
    assert len(set(ids)) == len(ids)
    for method, path, said in operations(document):
        where = f"{method} {path}"
        assert set(said["tags"]) <= tags, where
        assert said["summary"], where
        for parameter in said.get("parameters", []):
            assert parameter.get("description"), f"{where}: {parameter['name']}"
        if path.startswith(("/v1", "/v2")):
            assert said["description"], where
    used = {tag for _, _, said in operations(document) for tag in said["tags"]}
    assert {tag["name"] for tag in document["tags"]} == used


def test_every_field_is_described(document: dict[str, Any]) -> None:
    missing = [
        f"{body.name}.{field.name}" for body in bodies_of(document) for field in body.fields if not field.description
    ]
    assert missing == []
    forms = [field for group in groups_of(document, "") for each in group.operations for field in each.parameters]
    assert [field.name for field in forms if not field.description] == []


def test_errors_are_documented_in_the_shape_that_they_have(document: dict[str, Any], service: Service) -> None:
    for method, path, said in operations(document):
        if not path.startswith(("/v1", "/v2")):
            continue
        scope = {"type": "http", "path": path, "headers": [], "app": service.app}
        problem = shape_of(Request(scope)) is Shape.PROBLEM
        kind = "application/problem+json" if problem else "application/json"
        refusals = {"401", "403"} if "security" in said else set()
        for status in {"422"} | refusals | ({"404"} if "{" in path else set()):
            assert list(said["responses"][status]["content"]) == [kind], f"{method} {path} {status}"
            schema = said["responses"][status]["content"][kind]["schema"]
            assert ("code" in schema.get("properties", {})) == problem, f"{method} {path} {status}"


def test_audio_is_documented_as_audio(document: dict[str, Any]) -> None:
    audio = {
        path
        for _, path, said in operations(document)
        if any(kind.startswith("audio/") for kind in said["responses"].get("200", {}).get("content", {}))
    }
    assert audio == {
        "/v1/text-to-speech/{voice_id}",
        "/v1/history/{history_item_id}/audio",
        "/v1/moderation/consents/{consent_id}/recording",
        "/v1/moderation/consents/{consent_id}/sample",
    }


class Page(HTMLParser):
    """What a page loads, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif found.get("href") or found.get("src"):
            self.loaded.append(found.get("href") or found.get("src") or "")
        if found.get("id"):
            self.ids.append(found["id"] or "")
        assert "style" not in found, "the content security policy forbids inline styles"


def test_the_reference_page_shows_everything_without_scripts(service: Service, document: dict[str, Any]) -> None:
    with service.client() as client:
        answer = client.get("/docs")
        assert answer.status_code == 200
        page = Page()
        page.feed(answer.text)
        assert "script" not in page.tags
        assert not [address for address in page.loaded if not address.startswith("/static/")]
        for address in page.loaded:
            assert client.get(address).status_code == 200, address
        assert client.get("/openapi.json").json() == document
    for _, path, said in operations(document):
        assert said["operationId"] in page.ids
        assert f"{path}</code>" in answer.text
    assert len(page.ids) == len(set(page.ids))
    inner = [link[1:] for link in page.links if link.startswith("#")]
    assert set(inner) <= set(page.ids)
    assert "/openapi.json" in page.links
    assert len(answer.content) < 100_000
    assert "curl -X POST" in answer.text

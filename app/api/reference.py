"""`/docs`: the API reference as a plain page, drawn from the OpenAPI document. It needs no JavaScript and no CDN."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.api.documented import ERROR_WORDS

router = APIRouter(include_in_schema=False)

_INDENT = re.compile(r"\n\s+<")
"""Blanks before tags, which nobody sees and which are a seventh of the page."""
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_METHODS = ("get", "post", "put", "patch", "delete")
Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One line of a table: a path or query parameter, or a field of a body."""

    name: str
    place: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Answer:
    """One way in which an operation answers."""

    status: str
    description: str
    body: str


@dataclass(frozen=True)
class Operation:
    """One route."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Parameter]
    answers: list[Answer]
    errors: list[str]
    curl: str


@dataclass(frozen=True)
class Body:
    """A named schema."""

    name: str
    description: str
    fields: list[Parameter]


@dataclass
class Group:
    """The operations of one tag."""

    name: str
    description: str
    operations: list[Operation] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Name of its place on the page."""
        return self.name.lower().replace(" ", "-")


@router.get("/docs")
def reference(request: Request) -> HTMLResponse:
    """The page."""
    document: Schema = request.app.openapi()
    base = str(request.base_url).rstrip("/")
    page = _PAGES.get_template("reference.html").render(
        info=document["info"],
        groups=groups_of(document, base),
        bodies=bodies_of(document),
        errors=ERROR_WORDS,
        base=base,
    )
    return HTMLResponse(_INDENT.sub("\n<", page))


def groups_of(document: Schema, base: str) -> list[Group]:
    """The operations of an OpenAPI document by tag, in the order of its tags."""
    groups = {tag["name"]: Group(tag["name"], tag["description"]) for tag in document.get("tags", [])}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                said = methods[method]
                name = (said.get("tags") or ["Other"])[0]
                groups.setdefault(name, Group(name, "")).operations.append(
                    _operation(document, base, path, method, said)
                )
    return [group for group in groups.values() if group.operations]


def bodies_of(document: Schema) -> list[Body]:
    """The named schemas of an OpenAPI document, without those that only stand for a form: routes show these."""
    schemas: Schema = document.get("components", {}).get("schemas", {})
    return [
        Body(name, schema.get("description", ""), list(_fields(document, schema, "")))
        for name, schema in sorted(schemas.items())
        if "properties" in schema and not name.startswith("Body_")
    ]


def _operation(document: Schema, base: str, path: str, method: str, said: Schema) -> Operation:
    return Operation(
        id=said["operationId"],
        method=method.upper(),
        path=path,
        summary=said.get("summary", path),
        description=said.get("description", ""),
        parameters=list(_parameters(document, said)),
        answers=[_answer(document, status, answer) for status, answer in said["responses"].items() if status < "400"],
        errors=sorted(status for status in said["responses"] if status >= "400"),
        curl=_curl(document, base, path, method, said),
    )


def _parameters(document: Schema, said: Schema) -> Iterator[Parameter]:
    for each in said.get("parameters", []):
        type_ = _type(document, each["schema"])
        yield Parameter(each["name"], each["in"], type_, each.get("required", False), each.get("description", ""))
    kind, schema = _body(document, said)
    if schema:
        yield from _fields(document, schema, "JSON" if kind == "application/json" else "form")


def _fields(document: Schema, schema: Schema, place: str) -> Iterator[Parameter]:
    for name, each in schema.get("properties", {}).items():
        words = each.get("description") or _resolved(document, each).get("description", "")
        yield Parameter(name, place, _type(document, each), name in schema.get("required", []), words)


def _body(document: Schema, said: Schema) -> tuple[str, Schema]:
    """Media type and resolved schema of the request body; empty when there is none."""
    content: Schema = said.get("requestBody", {}).get("content", {})
    for kind, body in content.items():
        return kind, _solid(document, body["schema"])
    return "", {}


def _answer(document: Schema, status: str, answer: Schema) -> Answer:
    kinds = [
        f"{kind}: {_type(document, body['schema'])}" if kind.endswith("json") and body.get("schema") else kind
        for kind, body in answer.get("content", {}).items()
    ]
    return Answer(status, answer.get("description", ""), ", ".join(kinds))


def _resolved(document: Schema, schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _solid(document: Schema, schema: Schema) -> Schema:
    """A schema without its reference and without the null of an optional value."""
    schema = _resolved(document, schema)
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    return _resolved(document, options[0]) if len(options) == 1 else schema


def _type(document: Schema, schema: Schema) -> str:
    """The type of a schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(document, each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(document, schema['items'])}"
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return "file"
    return str(schema.get("title", "object") if schema.get("type") == "object" else schema.get("type", "any"))


def _curl(document: Schema, base: str, path: str, method: str, said: Schema) -> str:
    """A command that calls the operation, with the required fields filled in."""
    lines = [f"curl {shlex.quote(base + path)}" if method == "get" else f"curl -X {method.upper()} '{base}{path}'"]
    if said.get("security"):
        lines.append('-H "xi-api-key: $VOUCH_KEY"')
    kind, schema = _body(document, said)
    required = {name: schema["properties"][name] for name in schema.get("required", [])}
    if kind == "application/json":
        example = {name: _example(document, name, each) for name, each in required.items()}
        lines += ["-H 'content-type: application/json'", f"-d {shlex.quote(json.dumps(example))}"]
    elif kind:
        fields = {name: _form_example(document, name, each) for name, each in required.items()}
        lines += [f"-F {shlex.quote(f'{name}={value}')}" for name, value in fields.items()]
    if any(name.startswith("audio/") for name in said["responses"].get("200", {}).get("content", {})):
        lines.append("-o clip.audio")
    return " \\\n  ".join(lines)


def _example(document: Schema, name: str, schema: Schema) -> Any:
    schema = _solid(document, schema)
    options = schema.get("examples") or schema.get("enum") or [name]
    return options[0]


def _form_example(document: Schema, name: str, schema: Schema) -> str:
    return "@speech.wav" if "file" in _type(document, schema) else str(_example(document, name, schema))

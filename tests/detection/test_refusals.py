"""What strangers are told when a file is not searched: over the limit, or where it is switched off."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import make_settings
from tests.harness import running
from tests.pages.browsing import Page, visitor


def test_over_the_limit_they_are_told_when_to_come_back(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, provenance={"detections_per_day": 1}), worker=False) as service:
        with visitor(service) as stranger:
            first = stranger.post("/detect", files={"file": b"one"})
            assert first.status_code == 303
            assert "Listening for our mark" in stranger.get(first.headers["location"]).text
            refused = stranger.post("/detect", files={"file": b"two"})
            assert "Try again in 24 hours" in Page.read(refused.text).text
            api = stranger.post("/v1/detect", files={"file": b"two"})
        for answer in (refused, api):
            assert answer.status_code == 429
            assert 86_000 < int(answer.headers["retry-after"]) <= 86_400
        assert len(service.storage.list("uploads")) == 1, "what is refused is not kept"


def test_where_it_is_switched_off_they_are_told_so(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, provenance={"detections_per_day": 0}), worker=False) as service:
        with visitor(service) as stranger:
            shown = Page.read(stranger.get("/detect").text)
            assert "switched off on this server" in shown.text
            assert "/detect" not in {action for _, action in shown.forms}
            api = stranger.post("/v1/detect", files={"file": b"one"})
        assert (api.status_code, api.json()["code"]) == (404, "detection.off")


def test_many_requests_in_a_moment_are_slowed_down(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), worker=False) as service, service.client() as client:
        statuses = [client.post("/v1/detect", json={}).status_code for _ in range(21)]
    assert statuses == [422] * 20 + [429]

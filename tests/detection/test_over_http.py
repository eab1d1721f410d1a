"""Public detection as strangers use it: real HTTP, a real worker, real marks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from app.cli.commands import cli
from app.core.audit import AuditEntry
from app.core.signing import public_pem, signing_key
from app.provenance.detection.models import Detection
from app.provenance.ledger.models import MerkleLeaf
from app.provenance.models import TraceQuery
from app.speech.models import Generation
from tests.detection.conftest import Asking
from tests.harness import until
from tests.pages.browsing import Page, visitor


@pytest.fixture(scope="module")
def made_here(asking: Asking) -> dict[str, Any]:
    """The answer about a copy of a clip of ours."""
    return asking.told(asking.clip, "../<script>alert('x')</script>.wav")


def test_a_copy_of_ours_is_made_here_and_a_person_is_not_found(asking: Asking, made_here: dict[str, Any]) -> None:
    assert made_here["answer"] == "made_here"
    human = asking.told(asking.human)
    assert human["answer"] == "not_found"
    assert "does not mean that a person spoke" in human["meaning"]


def test_a_file_that_is_no_recording_says_what_to_do(asking: Asking) -> None:
    told = asking.told(b"PK\x03\x04 not a recording")
    assert (told["state"], told["answer"], told["receipt"]) == ("failed", None, None)
    assert "WAV" in told["problem"]
    assert _nothing_stays(asking)


def test_the_file_goes_and_nothing_that_was_found_stays(asking: Asking, made_here: dict[str, Any]) -> None:
    assert _nothing_stays(asking)
    world = asking.service.world
    (query,) = world.rows(select(TraceQuery).where(TraceQuery.file_digest == made_here["file_sha256"]))
    kept = (query.storage_key, query.file_name, query.audio_key, query.peaks, query.evidence, query.matched)
    assert kept == ("", "", None, [], [], {})
    assert (query.generation_id, query.verdict, query.false_match_rate, query.seconds) == (None, None, None, None)


def _nothing_stays(asking: Asking) -> bool:
    """Errands delete the files, a moment after the answer."""
    storage = asking.service.storage
    return until(lambda: storage.list("uploads") + storage.list("traces") == [] or None, "the files to go")


def test_nothing_tells_of_the_account(asking: Asking, made_here: dict[str, Any]) -> None:
    world = asking.service.world
    (generation,) = world.rows(select(Generation))
    told = [json.dumps(made_here)]
    with visitor(asking.service) as stranger:
        told += [
            stranger.get(f"/detect/{made_here['detection_id']}{part}").text for part in ("", "/progress", "/receipt")
        ]
    (detection,) = world.rows(select(Detection).where(Detection.public_id == made_here["detection_id"]))
    acts = world.rows(select(AuditEntry).where(AuditEntry.subject_id == str(detection.trace_query_id)))
    told += [str((act.reason, act.facts)) for act in acts]
    secrets = {str(generation.account_id), str(generation.id), generation.public_ref, str(generation.voice_id)}
    secrets |= {"<script>alert", "confirmed", "person0@example.org"}
    assert [secret for secret in secrets for text in told if secret in text] == []
    assert acts, "that it was answered is in the record"


def test_the_same_file_is_not_searched_again(asking: Asking, made_here: dict[str, Any]) -> None:
    before = asking.service.world.count(TraceQuery)
    again = asking.ask(asking.clip)
    assert (again.status_code, again.json()) == (200, made_here)
    assert asking.service.world.count(TraceQuery) == before


def test_a_receipt_is_checked_offline(asking: Asking, made_here: dict[str, Any], tmp_path: Path) -> None:
    with asking.service.client() as client:
        whole = client.get(f"/detect/{made_here['detection_id']}/receipt").text
    (tmp_path / "receipt.json").write_text(whole)
    (tmp_path / "key.pem").write_text(public_pem(signing_key(asking.service.settings)))
    (tmp_path / "clip.wav").write_bytes(asking.clip)
    (tmp_path / "other.wav").write_bytes(asking.human)

    key = ("--key", str(tmp_path / "key.pem"))

    def verify(*more: str, by: tuple[str, str] = key) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["verify-receipt", str(tmp_path / "receipt.json"), *by, *more])
        return result.exit_code, result.output

    assert json.loads(whole) == made_here["receipt"]
    code, said = verify("--file", str(tmp_path / "clip.wav"))
    assert (code, "Genuine" in said, "your file   yes" in said) == (0, True, True)
    assert verify(by=("--url", asking.service.url))[0] == 0
    assert verify("--file", str(tmp_path / "other.wav"))[0] == 2
    for old, new in (("made_here", "not_found"), (made_here["file_sha256"], hashlib.sha256(asking.human).hexdigest())):
        (tmp_path / "receipt.json").write_text(whole.replace(old, new))
        code, said = verify()
        assert (code, said.startswith("NOT GENUINE"), new in said) == (2, True, False)


def test_a_receipt_is_checked_on_the_page(asking: Asking, made_here: dict[str, Any]) -> None:
    receipt = json.dumps(made_here["receipt"])
    with visitor(asking.service) as stranger:

        def page(receipt: str, **files: Any) -> str:
            sent = stranger.post("/verify-receipt", data={"receipt": receipt}, files=files or {"file": b""})
            return Page.read(sent.text).text

        assert "ours and unchanged, and it is about your file" in page(receipt, file=asking.clip)
        assert "it is about another file" in page(receipt, file=asking.human)
        assert "not ours, or it was changed" in page(receipt.replace("made_here", "cant_tell"))
        assert "not a receipt" in page("[" * 10_000)


def test_the_page_leads_to_the_answer(asking: Asking, made_here: dict[str, Any]) -> None:
    with visitor(asking.service) as stranger:
        sent = stranger.post("/detect", files={"file": ("clip.wav", asking.clip)})
        assert (sent.status_code, sent.headers["location"]) == (303, f"/detect/{made_here['detection_id']}")
        assert "other parts may not be." in Page.read(stranger.get(sent.headers["location"]).text).text
        assert stranger.get(f"/detect/{made_here['detection_id'][:-1]}x").status_code == 404


def test_what_is_too_large_is_refused_while_it_comes(asking: Asking) -> None:
    most = asking.service.settings.provenance.detection_max_bytes
    refused = asking.ask(bytes(most + 200_000))
    assert (refused.status_code, refused.json()["code"]) == (413, "body.too_large")
    assert "21.0 MB" in refused.json()["detail"]
    assert asking.ask(b"").json()["code"] == "upload.empty"
    with asking.service.client() as client:
        assert client.post("/v1/detect", json={"file": "x"}).json()["code"] == "upload.form"
        assert client.post("/v1/detect", files={"other": b"x"}).json()["code"] == "upload.missing"


def test_the_log_has_a_leaf_of_the_answer(asking: Asking, made_here: dict[str, Any]) -> None:
    (query_id,) = asking.service.world.rows(
        select(TraceQuery.id).where(TraceQuery.file_digest == made_here["file_sha256"])
    )
    acts = select(AuditEntry.id).where(
        AuditEntry.subject_id == str(query_id), AuditEntry.action == "trace_query.answered"
    )
    assert asking.service.world.count(MerkleLeaf, MerkleLeaf.subject_id.in_(acts)) == 1

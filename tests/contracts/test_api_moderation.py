"""Moderators' routes over HTTP: consents to settle, recordings to listen to, audio to trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from app.accounts.models import Account, Role
from app.core.audit import AuditEntry
from app.provenance.models import TraceQuery
from app.speech.models import Generation
from app.voices.models import Consent, Sample, VoiceState
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice

TEXT = "The lighthouse keeper counts the ships at dusk, and writes the number of each one into a long grey book."


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Service]:
    """A service without a worker, where no job waits: what workers find is told by `World`."""
    with running(make_settings(tmp_path), worker=False) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(make_settings(tmp_path_factory.mktemp("trace"))) as service:
        yield service


def moderator(service: Service) -> httpx2.Client:
    return service.client(service.world.newcomer(role=Role.MODERATOR).api_key)


def audited(service: Service, action: str) -> int:
    return service.world.count(AuditEntry, AuditEntry.action == action)


def test_a_consent_is_settled(quiet: Service) -> None:
    world = quiet.world
    owner = world.newcomer()
    voice = world.voice(owner.account, VoiceState.DRAFT)
    consent = world.consent_in_review(voice)
    path = f"/v1/moderation/consents/{consent.public_id}"
    with moderator(quiet) as client, quiet.client(owner.api_key) as customer:
        (listed,) = client.get("/v1/moderation/consents", params={"state": "in_review"}).json()["consents"]
        assert listed == client.get(path).json()
        assert listed["voice"]["voice_id"] == voice.public_id
        assert listed["voice"]["account_id"] == owner.account.public_id
        assert listed["statement"] == consent.statement
        assert customer.get(f"/v1/voices/{voice.public_id}").json()["fine_tuning"]["manual_verification_requested"]
        for bad in ({}, {"decision": "maybe", "reason": "a"}, {"decision": "approve"}, []):
            problem = client.post(f"{path}/decision", json=bad)
            assert problem.status_code == 422
            assert problem.headers["content-type"] == "application/problem+json"
        for blank in ("", "  \n", "\x00"):
            answer = client.post(f"{path}/decision", json={"decision": "approve", "reason": blank})
            assert (answer.status_code, answer.json()["code"]) == (422, "consent.reason")
        decided = client.post(f"{path}/decision", json={"decision": "approve", "reason": "Same\x00 voice."}).json()
        assert (decided["state"], decided["decision_reason"]) == ("verified", "Same voice.")
        again = client.post(f"{path}/decision", json={"decision": "refuse", "reason": "No."})
        assert (again.status_code, again.json()["code"]) == (422, "consent.not_in_review")
        assert client.get("/v1/moderation/consents").json() == {"consents": []}
        assert customer.get(f"/v1/voices/{voice.public_id}").json()["fine_tuning"]["state"] == {"fake": "fine_tuning"}


def test_a_refused_consent_tells_its_reason_to_the_customer(quiet: Service) -> None:
    owner = quiet.world.newcomer()
    voice = quiet.world.voice(owner.account, VoiceState.DRAFT)
    consent = quiet.world.consent_in_review(voice)
    with moderator(quiet) as client, quiet.client(owner.api_key) as customer:
        path = f"/v1/moderation/consents/{consent.public_id}/decision"
        assert client.post(path, json={"decision": "refuse", "reason": "Another voice."}).json()["state"] == "refused"
        (told,) = customer.get(f"/v1/voices/{voice.public_id}/consents").json()["consents"]
        assert (told["state"], told["decision_reason"]) == ("refused", "Another voice.")


def test_nobody_decides_about_himself(quiet: Service) -> None:
    person = quiet.world.newcomer(role=Role.OPERATOR)
    consent = quiet.world.consent_in_review(quiet.world.voice(person.account, VoiceState.DRAFT))
    with quiet.client(person.api_key) as client:
        path = f"/v1/moderation/consents/{consent.public_id}/decision"
        answer = client.post(path, json={"decision": "approve", "reason": "It is me."})
        assert (answer.status_code, answer.json()["code"]) == (403, "consent.own_case")


def test_customers_may_not(quiet: Service) -> None:
    consent = quiet.world.consent_in_review(quiet.world.voice(quiet.world.account(), VoiceState.DRAFT))
    here = f"/v1/moderation/consents/{consent.public_id}"
    with quiet.client(quiet.world.newcomer().api_key) as client:
        answers = [
            client.get("/v1/moderation/consents"),
            client.get(here),
            client.post(f"{here}/decision", json={"decision": "approve", "reason": "Please."}),
            client.get(f"{here}/recording"),
            client.get(f"{here}/sample"),
            client.post("/v1/trace", data={"reason": "curious"}, files={"file": b"RIFF"}),
            client.get("/v1/trace/unknown"),
        ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "missing_permissions")] * 7
    assert quiet.storage.list("uploads") == []
    assert quiet.world.count(TraceQuery) == 0


def test_unknown_ids(quiet: Service) -> None:
    with moderator(quiet) as client:
        for path in ("consents/unknown", "consents/unknown/recording", "consents/unknown/sample"):
            assert client.get(f"/v1/moderation/{path}").status_code == 404
        assert client.get("/v1/trace/unknown").json()["code"] == "trace_not_found"
        assert client.get("/v1/moderation/consents", params={"state": "verified"}).status_code == 422
        assert client.get("/v1/trace/%00").status_code == 422


def test_listening_is_audited(quiet: Service) -> None:
    voice = quiet.world.voice(quiet.world.account(), VoiceState.DRAFT)
    consent = quiet.world.consent_in_review(voice)
    here = f"/v1/moderation/consents/{consent.public_id}"
    with moderator(quiet) as client:
        assert client.get(f"{here}/recording").json()["code"] == "recording_not_ready"
        with quiet.world.databases.writing() as session:
            session.get_one(Consent, consent.id).audio_key = "consents/clean.flac"
        (sample,) = quiet.world.rows(select(Sample).where(Sample.voice_id == voice.id))
        quiet.storage.put("consents/clean.flac", b"fLaC consent")
        quiet.storage.put(sample.audio_key, b"fLaC sample")
        heard = client.get(f"{here}/recording")
        assert (heard.content, heard.headers["content-type"]) == (b"fLaC consent", "audio/flac")
        assert client.get(f"{here}/sample", headers={"range": "bytes=5-"}).content == b"sample"
    assert (audited(quiet, "consent.listened"), audited(quiet, "sample.listened")) == (1, 1)


def test_a_clip_is_traced_to_its_account(service: Service) -> None:
    owner = service.world.newcomer()
    voice = stock_voice(service)
    with service.client(owner.api_key) as customer:
        path = f"/v1/text-to-speech/{voice.public_id}?output_format=flac_24000"
        clip = customer.post(path, json={"text": TEXT})
    assert clip.status_code == 200, clip.text
    before = audited(service, "trace_query.read")
    with moderator(service) as client:
        answer = client.post("/v1/trace", data={"reason": "Report 118"}, files={"file": ("clip.flac", clip.content)})
        assert answer.status_code == 200, answer.text
        traced = answer.json()
        assert (traced["state"], traced["verdict"]) == ("answered", "confirmed")
        assert traced["account"] == {
            "account_id": owner.account.public_id,
            "email": owner.account.email,
            "standing": "active",
        }
        assert traced["voice"] == {"voice_id": voice.public_id, "name": "Low"}
        assert traced["generation"]["id"] == clip.headers["x-vouch-generation"]
        assert traced["generation"]["history_item_id"] == clip.headers["history-item-id"]
        assert traced["false_match_rate"] < 1e-4
        assert all(channel["sentence"] for channel in traced["evidence"])
        assert traced["reason"] == "Report 118"
        assert "human" not in answer.text.lower()
        assert client.get(f"/v1/trace/{traced['trace_id']}").json() == traced
    assert audited(service, "trace_query.read") == before + 2, "each naming is in the audit"


def test_other_audio_names_nobody(service: Service) -> None:
    person = service.world.newcomer(role=Role.MODERATOR)
    speech = Path(__file__).parents[1] / "data" / "speech" / "reader_27" / "consent.flac"
    with service.client(person.api_key) as client:
        answer = client.post("/v1/trace", data={"reason": "Report 119"}, files={"file": speech.read_bytes()})
        traced = answer.json()
    assert traced["verdict"] == "no_evidence"
    assert (traced["generation"], traced["voice"], traced["account"]) == (None, None, None)
    assert "human" not in answer.text.lower()
    emails = [account.email for account in service.world.rows(select(Account))]
    assert not [email for email in emails if email in answer.text]
    assert not [g for g in service.world.rows(select(Generation)) if g.public_ref in answer.text]


@pytest.mark.parametrize(
    ("data", "file", "status"),
    [
        ({"reason": "why"}, b"", 422),
        ({"reason": "why"}, b"this is no audio", 422),
        ({"reason": "  "}, b"RIFF", 422),
        ({"reason": "w" * 2_001}, b"RIFF", 422),
        ({}, b"RIFF", 422),
    ],
)
def test_files_that_cannot_be_traced(service: Service, data: dict[str, str], file: bytes, status: int) -> None:
    with moderator(service) as client:
        answer = client.post("/v1/trace", data=data, files={"file": ("evidence.wav", file)})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.text)["detail"]
        assert client.post("/v1/trace", data={"reason": "why"}).status_code == 422

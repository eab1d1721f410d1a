"""The official ElevenLabs client against Vouch, with only `base_url` changed, on real speech from start to end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core import ApiError

from app.provenance.models import Stamp
from tests.conftest import make_settings
from tests.harness import Service, running, until

pytestmark = pytest.mark.slow

SPEECH = Path(__file__).parents[1] / "data" / "speech"
SENTENCE = json.loads((SPEECH / "transcripts.json").read_text())["reader_26"]["consent.flac"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = make_settings(tmp_path_factory.mktemp("client"), test_consent_statement=SENTENCE)
    with running(settings) as service:
        yield service


@dataclass(frozen=True)
class Customer:
    """A client, and the voice that it has cloned."""

    client: ElevenLabs
    voice_id: str


@pytest.fixture(scope="module")
def transport() -> Iterator[httpx.Client]:
    """The client's connections, so that they can be closed: it has no way to do it itself."""
    with httpx.Client(timeout=240) as transport:
        yield transport


@pytest.fixture(scope="module")
def customer(service: Service, transport: httpx.Client) -> Customer:
    """A customer whose voice has gone all the way: uploaded, consent asked for, read, verified, made."""
    key = service.world.newcomer().api_key
    client = ElevenLabs(base_url=service.url, api_key=key, httpx_client=transport)
    with (SPEECH / "reader_26" / "sample.flac").open("rb") as sample:
        made = client.voices.ivc.create(name="Reader", files=[sample], labels={"accent": "American"})
    assert made.requires_verification is True
    with pytest.raises(ApiError) as early:
        list(client.text_to_speech.convert(made.voice_id, text="Too early."))
    assert early.value.status_code == 403
    assert early.value.body["detail"]["status"] == "voice_not_verified"

    client.voices.pvc.verification.captcha.get(made.voice_id)
    answer = transport.get(f"{service.url}/v1/voices/pvc/{made.voice_id}/captcha", headers={"xi-api-key": key})
    assert answer.json()["statement"] == SENTENCE, "the client fetches the sentence, but gives nothing back"
    with (SPEECH / "reader_26" / "consent.flac").open("rb") as reading:
        assert client.voices.pvc.verification.captcha.verify(made.voice_id, recording=reading).status == "ok"
    until(lambda: _settled(client, made.voice_id), "the voice")
    return Customer(client, made.voice_id)


def _settled(client: ElevenLabs, voice_id: str) -> bool | None:
    voice = client.voices.get(voice_id)
    (state,) = voice.fine_tuning.state.values()
    rejected = voice.voice_verification.verification_failures
    return True if state in ("fine_tuned", "failed") or rejected else None


def test_the_voice_shows_its_consent(customer: Customer) -> None:
    voice = customer.client.voices.get(customer.voice_id)
    assert voice.name == "Reader"
    assert voice.labels == {"accent": "American"}
    assert voice.safety_control == "NONE"
    assert list(voice.fine_tuning.state.values()) == ["fine_tuned"]
    verification = voice.voice_verification
    assert verification.requires_verification
    assert verification.is_verified
    (attempt,) = verification.verification_attempts
    assert attempt.accepted
    assert attempt.text == SENTENCE
    assert attempt.levenshtein_distance < 0.25
    assert attempt.similarity > 0
    assert "plague" in attempt.recording.transcription.lower()
    (sample,) = voice.samples
    assert sample.file_name == "sample.flac"
    assert sample.size_bytes == (SPEECH / "reader_26" / "sample.flac").stat().st_size


def test_speak_list_and_fetch(service: Service, customer: Customer) -> None:
    client = customer.client
    with client.text_to_speech.with_raw_response.convert(
        customer.voice_id, text="The first move is what sets everything in motion.", output_format="wav_24000"
    ) as answer:
        audio = b"".join(answer.data)
        item_id = answer.headers["history-item-id"]
    assert audio.startswith(b"RIFF")
    assert service.world.count(Stamp, Stamp.sha256 == hashlib.sha256(audio).hexdigest()) == 1
    item = client.history.list(voice_id=customer.voice_id).history[0]
    assert item.history_item_id == item_id
    assert item.voice_name == "Reader"
    assert client.history.get(item_id).text.startswith("The first move")
    assert b"".join(client.history.get_audio(item_id)) == audio


def test_account_models_and_search(customer: Customer) -> None:
    client = customer.client
    user = client.user.get()
    assert user.subscription.tier == client.user.subscription.get().tier == "creator"
    assert user.subscription.voice_slots_used == 1
    assert [model.model_id for model in client.models.list()] == ["fake"]
    assert [voice.voice_id for voice in client.voices.get_all().voices] == [customer.voice_id]
    assert [voice.voice_id for voice in client.voices.search(search="reader").voices] == [customer.voice_id]
    assert client.voices.settings.get(customer.voice_id).speed == client.voices.settings.get_default().speed == 1.0


def test_a_bad_key_and_a_bad_text_are_told_as_at_elevenlabs(
    service: Service, customer: Customer, transport: httpx.Client
) -> None:
    with pytest.raises(ApiError) as stranger:
        ElevenLabs(base_url=service.url, api_key="wrong", httpx_client=transport).user.get()
    assert (stranger.value.status_code, stranger.value.body["detail"]["status"]) == (401, "invalid_api_key")
    with pytest.raises(ApiError) as nothing:
        list(customer.client.text_to_speech.convert(customer.voice_id, text="🙂"))
    assert nothing.value.status_code == 422


def test_edit_and_delete(customer: Customer) -> None:
    client = customer.client
    with (SPEECH / "reader_26" / "sample.flac").open("rb") as sample:
        other = client.voices.ivc.create(name="To delete", files=[sample]).voice_id
    assert client.voices.update(other, name="Renamed").status == "ok"
    assert client.voices.get(other).name == "Renamed"
    assert client.voices.delete(other).status == "ok"
    with pytest.raises(ApiError) as gone:
        client.voices.get(other)
    assert (gone.value.status_code, gone.value.body["detail"]["status"]) == (404, "voice_not_found")

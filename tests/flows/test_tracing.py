"""The trace worker on real files: copies find their generation, and nobody else is ever named."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from sqlalchemy import delete, select

from app.provenance.models import Fingerprint, Stamp, TraceQuery, TraceState, Verdict
from app.settings import Settings
from tests.flows.tracing import OTHER_WORDS, RATE, Desk, Floats, Said, decoded, noise
from workers.audio.encode import encode
from workers.audio.loudness import normalise
from workers.audio.resample import resample
from workers.mangle import telephone_copy
from workers.marks.assure import low_bit_rate
from workers.marks.credentials import Claim, sign
from workers.marks.watermark import KeyRing, Watermark

PERSON = Path(__file__).parents[1] / "data" / "speech" / "reader_26" / "consent.flac"
NOISE = 2.6
"""Times as loud as the speech."""


@pytest.fixture
def desk(sqlite_settings: Settings) -> Iterator[Desk]:
    desk = Desk(sqlite_settings)
    yield desk
    desk.tools.databases.close()


def channel(answer: TraceQuery, name: str) -> dict[str, object]:
    """The evidence of one channel."""
    (found,) = [each for each in answer.evidence if each["channel"] == name]
    return dict(found)


def test_a_copy_at_a_rate_below_the_telephones_is_traced(desk: Desk) -> None:
    said = desk.speak()
    slow = resample(said.pcm, RATE, 6_000)
    file = encode(slow, 8_000, "wav_8000").data.replace((8_000).to_bytes(4, "little"), (6_000).to_bytes(4, "little"), 1)
    answer = desk.trace(file)
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, said.generation.id)
    assert 0 < (answer.false_match_rate or 0) < 1e-4


def test_a_signature_alone_leaves_no_chance_of_a_wrong_match(desk: Desk) -> None:
    generation = desk.speak().generation
    claim = Claim(generation.public_ref, "Synthetic speech", generation.engine, datetime.now(UTC))
    unmarked = sign(encode(noise(3), RATE, "wav_24000").data, "audio/wav", claim, desk.tools.keys.signer)
    answer = desk.trace(unmarked)
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, generation.id)
    assert answer.false_match_rate == 0.0
    assert channel(answer, "credentials")["known"] is True


def test_nothing_is_found_where_nothing_was_made(desk: Desk) -> None:
    answer = desk.trace(noise(3))
    assert (answer.verdict, answer.generation_id, answer.false_match_rate) == (Verdict.NO_EVIDENCE, None, 1.0)
    assert channel(answer, "mark")["sentence"] == "No generation has been made here yet."


def test_a_clip_inside_other_sound_is_placed(desk: Desk) -> None:
    said = desk.speak()
    level = 0.5 * float(np.std(said.pcm))
    pcm, rate = low_bit_rate(
        resample(np.concatenate([noise(11.3, level), said.pcm, noise(9, level, 1)]), RATE, 16_000), 16_000
    )
    answer = desk.trace(resample(pcm, rate, RATE))
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, said.generation.id)
    assert answer.matched["query_from"] - answer.matched["original_from"] == pytest.approx(11.3, abs=0.5)
    assert answer.matched["query_to"] - answer.matched["query_from"] > 0.8 * len(said.pcm) / RATE


def test_of_two_clips_in_one_file_each_stays_in_its_place(desk: Desk) -> None:
    first, second = desk.speak(), desk.speak(OTHER_WORDS)
    answer = desk.trace(np.concatenate([first.pcm, second.pcm]))
    assert answer.verdict is Verdict.CONFIRMED
    begin = {first.generation.id: 0.0, second.generation.id: len(first.pcm) / RATE}[answer.generation_id]
    assert answer.matched["query_from"] - answer.matched["original_from"] == pytest.approx(begin, abs=0.5)
    assert channel(answer, "mark")["elsewhere"] == 1


def unmarked(desk: Desk, said: Said) -> Floats:
    """The sound as it is delivered, but for the mark."""
    return normalise(desk.unmarked(said), RATE)


def buried(desk: Desk, said: Said) -> Floats:
    """With its mark weakened, and in so much noise that it can't be read, while the sound can still be told."""
    weak = 0.3 * said.pcm + 0.7 * unmarked(desk, said)[: len(said.pcm)]
    return np.asarray(weak + noise(len(weak) / RATE, NOISE * float(np.std(weak)), 5)[: len(weak)], np.float32)


def test_where_the_mark_is_destroyed_the_sound_of_ones_own_voice_is_strong_evidence(desk: Desk) -> None:
    account = desk.world.account()
    said = desk.speak(account=account, voice=desk.cloned(account))
    (stamp,) = desk.world.rows(select(Stamp))
    desk.tools.storage.delete(stamp.storage_key)  # or comparing with the original would tell that it is weaker
    answer = desk.trace(buried(desk, said))
    assert (answer.verdict, answer.generation_id) == (Verdict.STRONG, said.generation.id)
    assert channel(answer, "mark")["accepted"] is False
    assert answer.false_match_rate == channel(answer, "fingerprint")["bound"]


def test_the_sound_of_ones_own_voice_clearly_without_the_mark_names_nobody(desk: Desk) -> None:
    account = desk.world.account()
    said = desk.speak(account=account, voice=desk.cloned(account))
    answer = desk.trace(unmarked(desk, said))
    assert (answer.verdict, answer.generation_id, answer.matched) == (Verdict.LEAD, None, {})
    assert "without its mark" in str(channel(answer, "mark")["sentence"])


def test_without_the_key_that_a_clip_was_marked_under_its_sound_is_still_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = desk.world.account()
    said = desk.speak(account=account, voice=desk.cloned(account))
    sound = buried(desk, said)

    def lost(_ring: KeyRing, epoch: int) -> Watermark:
        raise KeyError(epoch)

    monkeypatch.setattr(KeyRing, "under", lost)
    answer = desk.trace(sound)
    assert (answer.verdict, answer.generation_id) == (Verdict.STRONG, said.generation.id)


def test_the_sound_of_a_voice_that_others_can_have_names_nobody_without_the_mark(desk: Desk) -> None:
    said = desk.speak()
    for sound in (buried(desk, said), unmarked(desk, said)):
        answer = desk.trace(sound)
        assert (answer.verdict, answer.generation_id, answer.matched) == (Verdict.LEAD, None, {})
        found = channel(answer, "fingerprint")
        assert (found["verified"], found["stock_voice"]) == (1, True)


def test_twins_are_told_by_their_marks_or_not_at_all(desk: Desk) -> None:
    one, other = desk.speak(), desk.speak()
    assert one.generation.account_id != other.generation.account_id
    for said in (one, other):
        answer = desk.trace(said.pcm)
        assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, said.generation.id)
    answer = desk.trace(unmarked(desk, one))
    assert (answer.verdict, answer.generation_id, answer.matched) == (Verdict.AMBIGUOUS, None, {})
    found = channel(answer, "fingerprint")
    assert (found["verified"], found["one_account"]) == (2, False)
    told = json.dumps(answer.evidence)
    assert not any(str(each) in told for s in (one, other) for each in (s.generation.id, s.generation.account_id))
    answer = desk.trace(buried(desk, one))  # what is left of a mark, another one each time, tells the right one or none
    assert (answer.verdict, answer.generation_id) in (
        (Verdict.AMBIGUOUS, None),
        (Verdict.CONFIRMED, one.generation.id),
    )


def test_an_erased_twin_could_have_said_it_too(desk: Desk) -> None:
    account = desk.world.account()
    voice = desk.cloned(account)
    one, other = (desk.speak(account=account, voice=voice) for _ in range(2))
    with desk.tools.databases.writing() as session:
        session.execute(delete(Fingerprint).where(Fingerprint.generation_id == other.generation.id))
    sound = buried(desk, one)
    for stamp in desk.world.rows(select(Stamp)):
        desk.tools.storage.delete(stamp.storage_key)
    answer = desk.trace(sound)
    assert (answer.verdict, answer.generation_id) == (Verdict.AMBIGUOUS, None)


def test_the_same_voice_with_other_words_is_nobodys(desk: Desk) -> None:
    said = desk.speak()
    stranger = desk.speak(OTHER_WORDS)
    with desk.tools.databases.writing() as session:
        session.execute(delete(Fingerprint).where(Fingerprint.generation_id != said.generation.id))
    answer = desk.trace(unmarked(desk, stranger))
    assert answer.verdict in (Verdict.NO_EVIDENCE, Verdict.LEAD)
    assert (answer.generation_id, answer.matched) == (None, {})


def test_a_telephone_copy_is_traced(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    said = desk.speak()
    (path := tmp_path_factory.mktemp("clip") / "clip.wav").write_bytes(said.data)
    answer = desk.trace(telephone_copy(path))
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, said.generation.id)


def video() -> bytes:
    """A second of pictures without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    return file.getvalue()


def test_files_that_can_not_be_traced_get_a_reason(desk: Desk) -> None:
    whole = encode(noise(1), RATE, "wav_24000").data
    too_long = encode(np.zeros(601 * 8_000, np.float32), 8_000, "wav_8000").data
    for file, word in (
        (b"", "empty"),
        (b"\x00" * 4_000, "audio"),
        (whole[:30], "audio"),
        (video(), "no audio file that can be read"),
        (too_long, "long"),
    ):
        answer = desk.trace(file, state=TraceState.FAILED)
        assert word in (answer.problem or ""), answer.problem


def test_silence_and_eight_bits_are_answered(desk: Desk) -> None:
    said = desk.speak()
    silent = desk.trace(np.zeros(3 * RATE, np.float32))
    assert (silent.verdict, silent.generation_id) == (Verdict.NO_EVIDENCE, None)
    coarse = np.round(said.pcm / np.abs(said.pcm).max() * 127).astype(np.float32) / 127
    answer = desk.trace(coarse)
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, said.generation.id)


def test_a_mark_that_was_carried_over_to_foreign_speech_names_nobody(desk: Desk) -> None:
    """Somebody who knows the mark as well as we do puts it into what another person said."""
    said = desk.speak()
    foreign = desk.tools.keys.ring.current.embed(decoded(PERSON.read_bytes())[: 6 * RATE], RATE, said.generation.tag)
    answer = desk.trace(foreign)
    assert (answer.verdict, answer.generation_id, answer.matched) == (Verdict.LEAD, None, {})
    found = channel(answer, "mark")
    assert (found["accepted"], found["sounds_other"]) == (True, True)
    with desk.tools.databases.writing() as session:
        session.execute(delete(Fingerprint))  # with nothing to compare, the mark has to do
    answer = desk.trace(foreign[: 5 * RATE])
    assert answer.generation_id == said.generation.id
    assert channel(answer, "mark")["sound_compared"] is False

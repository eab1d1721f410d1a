"""Who speaks: the same person in another session is recognised, another of the same sex is not."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from workers.audio.decode import Decoded
from workers.audio.mel import filterbank, mel_power
from workers.audio.prosody import prosody
from workers.audio.speakers import Outcome, encoders, match, similarity, voiceprint
from workers.audio.torch_file import load_tensors


def test_same_person_accepted_another_refused(speech: dict[str, Decoded]) -> None:
    prints = {name: voiceprint(decoded.pcm) for name, decoded in speech.items()}
    for owner in ("reader_26", "reader_27"):
        for reader in ("reader_26", "reader_27"):
            sample, other = prints[f"{owner}/sample"], prints[f"{reader}/consent"]
            assert sample is not None
            assert other is not None
            result = match(sample, other)
            assert result.outcome is (Outcome.ACCEPT if owner == reader else Outcome.REFUSE)
            assert result.score == pytest.approx((result.dvector + result.resemblyzer) / 2)


def test_silence_is_nobody() -> None:
    assert voiceprint(np.zeros(16_000 * 3, np.float32)) is None
    assert voiceprint(np.zeros(0, np.float32)) is None


def test_embeddings_are_unit_vectors_and_ignore_the_level_where_they_should(speech: dict[str, Decoded]) -> None:
    pcm = speech["reader_26/consent"].pcm[: 4 * 16_000]
    for encoder in encoders():
        embedding = encoder.embed(pcm)
        assert embedding.shape == (256,)
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
        assert similarity(embedding, embedding) == pytest.approx(1, abs=1e-5)
        assert len(encoder.windows(pcm[:1600])[1]) == 1  # a tenth of a second still gives one window
    assert similarity(encoders()[1].embed(pcm), encoders()[1].embed(pcm / 50)) > 0.999


def test_windows_are_spread_and_bounded(speech: dict[str, Decoded]) -> None:
    starts, embeddings = encoders()[0].windows(speech["reader_26/consent"].pcm, 7)
    assert len(starts) == len(embeddings) == 7
    assert starts[0] == 0
    assert starts[-1] > 10


def test_mel_bands_have_area_one_and_find_a_tone() -> None:
    bank = filterbank(16_000, 2048, 40)
    np.testing.assert_allclose(bank.sum(axis=0) * 16_000 / 2048, 1, atol=0.05)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    power = mel_power(tone, np.hanning(400), 400, 160, 40)
    assert power.shape == (98, 40)
    assert set(power.argmax(axis=1)) == {int(filterbank(16_000, 400, 40)[25].argmax())}  # 25 bins of 40 Hz
    assert mel_power(tone[:100], np.hanning(400), 400, 160, 40).shape == (0, 40)


def test_a_file_of_weights_can_run_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "done",))

    path = tmp_path / "weights.pt"
    parts = [0x1950A86A20F9469CFC6C, 1001, {}, {"model_state": Evil()}]
    path.write_bytes(b"".join(pickle.dumps(part) for part in parts))
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        load_tensors(path, "model_state")
    assert not (tmp_path / "done").exists()


def test_prosody_of_a_known_voice_and_of_readers(speech: dict[str, Decoded]) -> None:
    for name in ("reader_26/consent", "reader_27/consent"):
        found = prosody(speech[name].pcm)
        assert 85 < found.f0_median < 130
        assert 0.05 < found.f0_log_sd < 0.4
        assert 0.25 < found.voiced_share < 0.8
        assert 1.5 < found.rate < 6
    faster = prosody(np.ascontiguousarray(speech["reader_27/consent"].pcm[::2]))  # an octave up at the same rate
    assert faster.f0_median == pytest.approx(2 * prosody(speech["reader_27/consent"].pcm).f0_median, rel=0.1)
    assert prosody(np.zeros(16_000, np.float32)).f0_median == 0

"""What the mark does to the sound, and what it costs."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benches.trace.attacks import RATE, Floats, load, mp3, resampled
from benches.trace.corpus import Spoken
from benches.trace.service import Made, host
from workers.audio.loudness import normalise
from workers.audio.noise import cleanness
from workers.marks.spectrum import power, stft
from workers.marks.watermark import Watermark

MOST_CLIPS = 60
_HEARD = 50.0  # dB below the loudest: what is softer is not counted
_COSTS = 12  # clips whose marking is timed
_TIE = 0.005  # of DNSMOS: nearer than that, the judge prefers neither


@dataclass(frozen=True)
class Sound:
    """One marked clip beside the same clip without a mark."""

    spoken: str
    voice: str
    sex: str
    pesq: float | None
    """PESQ-WB; None where the package `pesq` is not installed."""
    pesq_mp3: float | None
    """Of the unmarked clip as MP3 of 64 kbit/s: to compare with."""
    dnsmos_plain: float
    dnsmos_marked: float
    distance: float
    """Log-spectral distance in dB."""

    @property
    def change(self) -> float:
        """Of DNSMOS."""
        return self.dnsmos_marked - self.dnsmos_plain

    @property
    def preferred(self) -> str:
        """Which of the two a judge takes who does not know which is marked: plain, marked or neither."""
        if abs(self.change) < _TIE:
            return "neither"
        return "marked" if self.change > 0 else "plain"


@dataclass(frozen=True)
class Costs:
    """Shares of real time, on one core."""

    embed: float
    read: float
    stamp_seconds: float
    """Processor seconds of embedding a clip of ten seconds."""


def has_pesq() -> bool:
    """Whether PESQ can be measured."""
    return importlib.util.find_spec("pesq") is not None


def sounds(made: Sequence[Made], clips: Sequence[Spoken], corpus: Path, storage: Path, kept: Path) -> list[Sound]:
    """Of clips spread over all voices; what was measured before is read from `kept`."""
    if kept.exists():
        return [Sound(**each) for each in json.loads(kept.read_text())]
    by_name = {clip.name: clip for clip in clips}
    whole = [each for each in made if each.kind == "clip"]
    chosen = whole[:: max(len(whole) // MOST_CLIPS, 1)][:MOST_CLIPS]
    found = [_sound(each, normalise(host(by_name[each.spoken], corpus), 24_000), storage) for each in chosen]
    kept.write_text(json.dumps([asdict(each) for each in found], indent=1))
    return found


def _sound(made: Made, spoken: Floats, storage: Path) -> Sound:
    plain = resampled(spoken, 24_000, RATE)
    marked = load(storage / made.storage_key)[: len(plain)]
    plain = plain[: len(marked)]
    score = _pesq()
    return Sound(
        spoken=made.spoken,
        voice=made.voice,
        sex=made.sex,
        pesq=score(plain, marked) if score else None,
        pesq_mp3=score(plain, _aligned(plain, mp3(plain, 64))) if score else None,
        dnsmos_plain=cleanness(plain).overall,
        dnsmos_marked=cleanness(marked).overall,
        distance=distance(plain, marked),
    )


def _pesq() -> Callable[[Floats, Floats], float] | None:
    if not has_pesq():
        return None
    from pesq import pesq  # type: ignore[import-not-found]

    return lambda plain, other: float(pesq(RATE, plain, other, "wb"))


def _aligned(plain: Floats, copy: Floats) -> Floats:
    return np.pad(copy, (0, max(len(plain) - len(copy), 0)))[: len(plain)]


def distance(plain: Floats, marked: Floats) -> float:
    """Rms difference of log spectra in dB, over frames and bins within 50 dB of the loudest."""
    first, second = (10 * np.log10(power(stft(audio)) + 1e-9) for audio in (plain, marked))
    return float(np.sqrt(np.mean((first - second)[first > first.max() - _HEARD] ** 2)))


def costs(made: Sequence[Made], clips: Sequence[Spoken], corpus: Path) -> Costs:
    """Processor time of embedding and of plain reading, by the time of the audio."""
    by_name = {clip.name: clip for clip in clips}
    mark = Watermark(bytes(range(32)))
    chosen = [host(by_name[each.spoken], corpus) for each in made if each.kind == "clip"][:_COSTS]
    seconds = sum(len(audio) for audio in chosen) / 24_000
    mark.embed(chosen[0], 24_000, bytes(16))  # whatever is made once is made now
    start = time.process_time()
    marked = [mark.embed(audio, 24_000, bytes(16)) for audio in chosen]
    middle = time.process_time()
    for audio in marked:
        mark.read(audio, 24_000)
    end = time.process_time()
    return Costs((middle - start) / seconds, (end - middle) / seconds, (middle - start) / seconds * 10)

"""Marks a clip and makes sure of it: attacks it in memory and reads it again before it may leave."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np
import soxr
from scipy.signal import butter, sosfilt

from workers.marks import spectrum
from workers.marks.harm import harm
from workers.marks.matching import accept_z, nearest
from workers.marks.spectrum import PERIOD_SAMPLES, RATE, WINDOW, Floats
from workers.marks.stream import STRENGTH_DB, checked_audio
from workers.marks.watermark import Watermark

RAISED_DB = 4.0  # the second try, where the sound allows it
MOST_HARM = 12.5  # see `harm`: PESQ-WB of 4.2 or more in all of 32 clips that had no more
LEAST_DB = 1.5  # weaker, a mark is lost in the first bad copy
_WEAKER = 0.9  # each try is at least so much weaker
_WORTH_RAISING = 1.1  # less than so many times the strength would change little
TARGET_TAGS, TARGET_HYPOTHESES = 10_000_000, 8  # a clip must be found among so many: z of at least 7.4
REQUIRED_Z = accept_z(TARGET_TAGS, TARGET_HYPOTHESES)
SHORT_SECONDS = 1.5  # of speech: below this no promise is made
LEAST_SECONDS = 0.1  # a syllable; below this the clip holds no speech at all
_PIECE = 10 * RATE  # long clips are tested by pieces of ten seconds
_MOST_PIECES = 3
_PHONE_RATE = 8_000
_PHONE_BAND = butter(4, [300, 3400], btype="bandpass", fs=_PHONE_RATE, output="sos")
_OPUS_BITS_PER_SECOND = 12_000
_OPUS_EFFORT = "1"  # of 10: half the time of 4, and as hard on the mark


class MarkFailed(RuntimeError):
    """The mark could not be read back even from the clip as marked. The clip must not be delivered."""


@dataclass(frozen=True)
class Marked:
    """A marked clip and how well the mark was read back."""

    pcm: Floats
    strength_db: float  # that was used in the end
    harm: float  # to the sound, see `workers.marks.harm`; MOST_HARM at the most unless even LEAST_DB is heard
    z: float  # best agreement with its own tag when it was read back, 11.3 at the most
    z_attacked: float  # the worst after each attack; below `REQUIRED_Z` the clip may not survive a bad copy
    too_short_to_trace: bool  # under 1.5 s of speech and not robust: the mark alone may not trace a copy

    @property
    def robust(self) -> bool:
        """Whether the mark is expected to survive a telephone or a low bit rate."""
        return self.z_attacked >= REQUIRED_Z


def embed_checked(mark: Watermark, pcm: Floats, sample_rate: int, tag: bytes) -> Marked:
    """Marks a clip, attacks it (telephone, Opus 12k), reads it, and marks stronger, once, if that fails.

    Never so strongly that it harms the sound by more than MOST_HARM: a delicate clip gets less than the usual strength.

    Takes what `Watermark.embed` takes. Raises MarkFailed when the clip holds nothing that can carry a mark
    (silence, a tone), or when at least 1.5 s of speech can't be read back even clean. A shorter clip is marked as
    well as it goes and says so.
    """
    seconds = speech_seconds(pcm, sample_rate)
    if seconds < LEAST_SECONDS:
        raise MarkFailed("The clip is silent or a steady tone: there is nothing that can carry a mark.")
    first = _unharmed(mark, pcm, sample_rate, tag)
    tries = [_tested(mark, *first, sample_rate, tag, short=seconds < SHORT_SECONDS)]
    strength, harmed = first[1:]
    raised = min(RAISED_DB, strength * MOST_HARM / max(harmed, 1e-3))
    if not tries[0].robust and raised >= strength * _WORTH_RAISING:
        second = _embedded(mark, pcm, sample_rate, tag, raised)
        if second[2] <= MOST_HARM:
            tries.append(_tested(mark, *second, sample_rate, tag, short=seconds < SHORT_SECONDS))
    best = max(tries, key=lambda marked: marked.z_attacked)
    if best.z < REQUIRED_Z and not best.too_short_to_trace:
        raise MarkFailed(
            f"The mark could not be read back: agreement {best.z:.1f}, needed {REQUIRED_Z:.1f}."
            " Make the clip again; do not deliver this one."
        )
    return best


def speech_seconds(pcm: Floats, sample_rate: int) -> float:
    """Seconds of the clip that can carry a mark: slots with cells well above the band's floor."""
    audio = checked_audio(pcm, sample_rate)
    audio = np.asarray(soxr.resample(audio, sample_rate, RATE), np.float32) if len(audio) else audio
    power = spectrum.power(spectrum.stft(np.pad(spectrum.levelled(audio), WINDOW)))
    weight = spectrum.reliability(spectrum.cells(spectrum.band_energies(power)))[0]
    return float(np.sum(weight.mean(axis=1) > 0.1)) * PERIOD_SAMPLES / spectrum.PERIOD / RATE


def _embedded(mark: Watermark, pcm: Floats, rate: int, tag: bytes, strength_db: float) -> tuple[Floats, float, float]:
    """Marked audio, its strength, and its harm."""
    marked = mark.embed(pcm, rate, tag, strength_db)
    return marked, strength_db, harm(pcm, marked, rate)


def _unharmed(mark: Watermark, pcm: Floats, sample_rate: int, tag: bytes) -> tuple[Floats, float, float]:
    """Marked at the usual strength, or at less where that would be heard."""
    made = _embedded(mark, pcm, sample_rate, tag, STRENGTH_DB)
    while made[2] > MOST_HARM and made[1] > LEAST_DB:
        weaker = max(made[1] * min(MOST_HARM / made[2], _WEAKER), LEAST_DB)
        made = _embedded(mark, pcm, sample_rate, tag, weaker)
    return made


def _tested(
    mark: Watermark, marked: Floats, strength_db: float, harmed: float, sample_rate: int, tag: bytes, *, short: bool
) -> Marked:
    own = np.frombuffer(tag, np.uint8)[None]

    def agreement(audio: Floats, rate: int) -> float:
        match = nearest(mark.read(audio, rate), own)
        return match.z if match else 0.0

    pieces = list(_pieces(marked, sample_rate))
    attacked = [agreement(*attack(piece, sample_rate)) for piece in pieces for attack in ATTACKS]
    clean = []
    if min(attacked) < REQUIRED_Z:  # else it was read back already, from worse
        clean = [agreement(piece, sample_rate) for piece in pieces]
    return Marked(
        pcm=marked,
        strength_db=strength_db,
        harm=harmed,
        z=max([*attacked, *clean]),
        z_attacked=min(attacked),
        too_short_to_trace=short and min(attacked) < REQUIRED_Z,
    )


def _pieces(pcm: Floats, sample_rate: int) -> Iterator[Floats]:
    """The clip, or the first, middle and last ten seconds of a long one."""
    length = _PIECE * sample_rate // RATE
    if len(pcm) <= length:
        yield pcm
        return
    for begin in sorted({round(k * (len(pcm) - length) / (_MOST_PIECES - 1)) for k in range(_MOST_PIECES)}):
        yield pcm[begin : begin + length]


def telephone(pcm: Floats, sample_rate: int) -> tuple[Floats, int]:
    """As heard over a telephone: 300 to 3400 Hz, 8 kHz, G.711 mu-law. Returns audio and its rate."""
    narrow = sosfilt(_PHONE_BAND, soxr.resample(pcm, sample_rate, _PHONE_RATE))
    companded = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    companded = np.round(companded * 127) / 127
    expanded = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    return np.asarray(expanded, dtype=np.float32), _PHONE_RATE


def low_bit_rate(pcm: Floats, sample_rate: int) -> tuple[Floats, int]:
    """As kept by a messenger: Opus at 12 kbit/s, 16 kHz. Returns audio and its rate."""
    samples = np.clip(soxr.resample(pcm, sample_rate, RATE) * 32767, -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as out:
        stream = out.add_stream(
            "libopus", rate=RATE, layout="mono", options={"application": "voip", "compression_level": _OPUS_EFFORT}
        )
        stream.bit_rate = _OPUS_BITS_PER_SECOND
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(file, "r") as source:
        frames = [out for frame in source.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), RATE


ATTACKS: tuple[Callable[[Floats, int], tuple[Floats, int]], ...] = (telephone, low_bit_rate)

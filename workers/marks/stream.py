"""The mark on a stream: pieces of audio go in, marked pieces come out, the pattern runs on across them.

This is the only way to mark: `Watermark.embed` feeds a whole clip through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from workers.marks.pattern import TAG_BYTES, signs
from workers.marks.shaping import change
from workers.marks.spectrum import HOP, RATE, SLOT, WINDOW, Floats

if TYPE_CHECKING:
    from workers.marks.watermark import Watermark

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000
STRENGTH_DB = 3.0
SEGMENT_SECONDS = 3  # marked as one piece, the last one 1.5 to 4.5 s; 4 and 6 s were no better
LATENCY_SECONDS = 1.5 * SEGMENT_SECONDS  # of audio that is held back, besides some milliseconds of the filters

_SLOT_SAMPLES = SLOT * HOP
_SEGMENT = SEGMENT_SECONDS * RATE
_STEP = 8_192  # samples that go through the filters at once, however the audio arrives
_CEILING = np.float32(1 - 1e-6)
_LIMITER_BLOCKS = 200  # a second: gains change over 5 ms
_RELEASE = np.float32(0.01)  # a block: a gain turned down by a tenth is back after 50 ms
_NOTHING = np.zeros(0, np.float32)


class MarkStream:
    """Marks one clip as it comes. Not for several threads at once.

    `push` takes any number of samples, mono float at `sample_rate` (8000 to 48000), and gives marked float32 samples
    that are ready, LATENCY_SECONDS behind at the most; `finish` gives the rest. Together they are as many as went in,
    and the same however the audio was cut. Memory is bounded by the latency and the largest piece pushed.
    `strength_db` is the rms of the cells' gains, 0 < strength_db <= 6. What lies above 7 kHz stays as it was; silence
    stays unmarked; where a peak would pass 1.0, the sound is turned down for some milliseconds around it. Raises
    ValueError for anything that isn't finite mono audio of a rate in range, and for a tag of another length than 16.
    """

    def __init__(self, mark: Watermark, sample_rate: int, tag: bytes, strength_db: float = STRENGTH_DB) -> None:
        checked_audio(_NOTHING, sample_rate)
        if len(tag) != TAG_BYTES:
            raise ValueError(f"A tag has {TAG_BYTES} bytes; this one has {len(tag)}.")
        if not 0 < strength_db <= 6:
            raise ValueError(f"The strength is above 0 and at most 6 dB, not {strength_db}.")
        self._rate = sample_rate
        self._pattern, self._start = mark.pattern, mark.pattern.start(tag)
        self._bits = np.concatenate([np.ones(1, np.float32), signs(tag)])
        self._strength_db = strength_db
        self._down, self._up = _Resampler(sample_rate, RATE), _Resampler(RATE, sample_rate)
        self._limiter = _Limiter(sample_rate)
        self._unstepped = _NOTHING  # came in, not yet a whole step
        self._original = _NOTHING  # waits for its change
        self._change = _NOTHING  # at the audio's own rate, waits for its original
        self._working = np.zeros(WINDOW, np.float32)  # at 16 kHz, from WINDOW before the next piece on
        self._tail = np.zeros(WINDOW, np.float32)  # what the last piece adds to the WINDOW before the next
        self._skip = WINDOW  # samples of change that lie before the clip

    def push(self, pcm: Floats) -> Floats:
        """Takes more audio; gives what is ready, perhaps nothing."""
        waiting = np.concatenate([self._unstepped, checked_audio(pcm, self._rate)])
        whole = len(waiting) // _STEP * _STEP
        self._unstepped = waiting[whole:].copy()
        return _joined([self._step(waiting[begin : begin + _STEP]) for begin in range(0, whole, _STEP)])

    def finish(self) -> Floats:
        """Gives what is still held back. Nothing may be pushed afterwards."""
        self._original = np.concatenate([self._original, self._unstepped])
        self._working = np.concatenate([self._working, self._down.push(self._unstepped, last=True)])
        changes = [self._piece(len(self._working) - WINDOW, last=True), self._tail]
        self._change = np.concatenate([self._change, self._up.push(np.concatenate(changes), last=True)])
        missing = len(self._original) - len(self._change)
        self._change = np.pad(self._change, (0, max(missing, 0)))
        return self._limiter.push(self._marked(), last=True)

    def _step(self, pcm: Floats) -> Floats:
        self._original = np.concatenate([self._original, pcm])
        self._working = np.concatenate([self._working, self._down.push(pcm)])
        if len(self._working) < WINDOW + _SEGMENT * 3 // 2:  # what stays must be enough for a piece of its own
            return _NOTHING
        self._change = np.concatenate([self._change, self._up.push(self._piece(_SEGMENT))])
        return self._limiter.push(self._marked())

    def _piece(self, length: int, last: bool = False) -> Floats:
        """Marks the next `length` samples at 16 kHz; gives the change that nothing later adds to."""
        piece = self._working[: WINDOW + length]
        if last:  # whole slots and the frames that reach past the end
            piece = np.pad(
                piece, (0, -length % _SLOT_SAMPLES + WINDOW // _SLOT_SAMPLES * _SLOT_SAMPLES + _SLOT_SAMPLES)
            )
        added = change(self._pattern, piece, self._bits, self._start, self._strength_db)
        added[:WINDOW] += self._tail
        self._working = self._working[length:].copy()
        self._start += length // _SLOT_SAMPLES
        self._tail = added[len(added) - WINDOW :]
        ready = added[self._skip : len(added) - WINDOW]
        self._skip = 0
        return ready

    def _marked(self) -> Floats:
        """Originals that have their change, with it."""
        ready = min(len(self._original), len(self._change))
        marked = self._original[:ready] + self._change[:ready]
        self._original, self._change = self._original[ready:].copy(), self._change[ready:].copy()
        return marked


class _Resampler:
    """soxr on a stream; gives what it has, late. The same rate passes through."""

    def __init__(self, source: int, target: int) -> None:
        self._native = soxr.ResampleStream(source, target, 1, dtype="float32") if source != target else None

    def push(self, audio: Floats, last: bool = False) -> Floats:
        return audio if self._native is None else np.asarray(self._native.resample_chunk(audio, last), np.float32)


class _Limiter:
    """Keeps peaks below 1.0: the gain falls over the 5 ms before a block that is too loud and rises slowly after it.

    Between two blocks the gain is at most what either may have, and it runs straight across a block, so no sample
    passes the ceiling. Audio that needs no limit passes unchanged.
    """

    def __init__(self, rate: int) -> None:
        self._block = rate // _LIMITER_BLOCKS
        self._waiting = _NOTHING
        self._gain = np.float32(1)  # at the beginning of what waits

    def push(self, audio: Floats, last: bool = False) -> Floats:
        waiting = np.concatenate([self._waiting, audio])
        count = -(-len(waiting) // self._block) if last else max(len(waiting) // self._block - 1, 0)
        if not count:
            self._waiting = waiting
            return _NOTHING
        taken = min(count * self._block, len(waiting))
        blocks = np.pad(waiting, (0, (count + 1) * self._block))[: (count + 1) * self._block].reshape(count + 1, -1)
        self._waiting = waiting[taken:].copy()
        allowed = np.minimum(1, _CEILING / np.maximum(np.max(np.abs(blocks), axis=1), _CEILING))
        bounds = np.empty(count + 1, np.float32)
        bounds[0] = min(self._gain, allowed[0])
        for k in range(count):
            bounds[k + 1] = min(allowed[k], allowed[k + 1], bounds[k] + _RELEASE)
        self._gain = bounds[-1]
        if np.all(bounds == 1):
            return waiting[:taken]
        across = np.linspace(0, 1, self._block, endpoint=False, dtype=np.float32)
        gains = bounds[:-1, None] * (1 - across) + bounds[1:, None] * across
        return np.asarray((blocks[:-1] * gains).ravel()[:taken], dtype=np.float32)


def checked_audio(pcm: Floats, sample_rate: int) -> Floats:
    """The audio as float32, or a ValueError that says what is wrong with it."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise ValueError(f"The sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {sample_rate}.")
    if pcm.ndim != 1 or not np.issubdtype(pcm.dtype, np.floating):
        raise ValueError(f"Audio must be mono floating point samples, not {pcm.dtype} of shape {pcm.shape}.")
    if not np.all(np.isfinite(pcm)):
        raise ValueError("The audio has samples that are not finite numbers.")
    return pcm.astype(np.float32, copy=False)


def _joined(pieces: list[Floats]) -> Floats:
    return np.concatenate(pieces) if pieces else _NOTHING

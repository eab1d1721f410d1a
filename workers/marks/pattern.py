"""The secret pattern of a key: which cells each bit of a tag moves up and which down."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from numpy.typing import NDArray

from workers.marks.spectrum import BANDS, PERIOD, Floats

TAG_BYTES = 16
BITS = 8 * TAG_BYTES
PILOT = 5.0  # amplitude of the pilot in units of one bit: 16 % of the mark's energy; 4 to 5 beat 7 and 10
MIN_KEY_BYTES = 16

_LOG_2 = float(np.log(2))
_SOFT_GAIN = 0.9  # signal per unit of noise in a bit's statistic when a mark can just be read


def signs(tag: bytes | NDArray[np.uint8]) -> Floats:
    """Bits of one tag (16 bytes) or of many (n, 16) as +1 and -1: (128,) or (n, 128)."""
    packed = np.frombuffer(tag, np.uint8) if isinstance(tag, bytes) else tag
    return np.unpackbits(packed, axis=-1).astype(np.float32) * 2 - 1


class Pattern:
    """Row 0 is the pilot, rows 1 to 128 are the bits; each row has a +1 or -1 for every cell of one period.

    Every bit is spread evenly over the whole period, so a cut of any second holds the whole tag. The period is
    four seconds and a clip starts at one of a hundred places in it: of 1, 2 and 4 seconds the longest gave as many
    traces as the shortest, or more (less of a voice repeats at its distance), at 0.7 instead of 0.3 % of real
    time, shows each cell a quarter as often to somebody who averages clips, and a second marking falls on the first
    with a chance of 1 %.

    Odd slots carry minus the slot before: what changes slowly (vowels, any fixed filter, a room's colour)
    cancels. This was the largest single gain of the prototype. The chips come from SHAKE-256, so that a
    stretch of the pattern that somebody learns tells nothing of the rest, and so that they are the same on
    every machine for ever.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"A watermark key has at least {MIN_KEY_BYTES} bytes; this one has {len(key)}.")
        self._key = key
        half = (BITS + 1, PERIOD // 2, BANDS)
        stream = hashlib.shake_256(_derive(key, b"pattern")).digest(-(-int(np.prod(half)) // 8))
        chips = np.unpackbits(np.frombuffer(stream, np.uint8))[: int(np.prod(half))].reshape(half) * 2.0 - 1.0
        self.chips: Floats = np.empty((BITS + 1, PERIOD, BANDS), np.float32)
        self.chips[:, 0::2], self.chips[:, 1::2] = chips, -chips
        transform = np.conj(np.fft.rfft(self.chips, axis=1)).transpose(1, 2, 0)
        self._transform = np.ascontiguousarray(transform, dtype=np.complex64)

    def start(self, tag: bytes) -> int:
        """Slot of the pattern at which a clip with this tag starts.

        It differs from clip to clip, so that clips can't simply be averaged to bring out the pilot. The reader
        tries every offset anyway.
        """
        return int.from_bytes(_derive(self._key, b"start:" + tag)[:4]) % (PERIOD // 2) * 2

    def over(self, slots: int, start: int) -> Floats:
        """Chips of `slots` slots from slot `start` of the pattern on: (129, slots * BANDS)."""
        return self.chips[:, (start + np.arange(slots)) % PERIOD].reshape(BITS + 1, -1)

    def correlate(self, folded: Floats, start: int) -> Floats:
        """Normalised match of pilot and bits at a known start: (129,) from one folded (PERIOD, BANDS)."""
        return np.asarray(self.over(PERIOD, start) @ folded.ravel() / _norm(folded), dtype=np.float32)

    def correlate_everywhere(self, folded: Floats) -> Floats:
        """The same for every start slot, many at once: (n, PERIOD, BANDS) -> (n, PERIOD, 129)."""
        spectrum = np.fft.rfft(folded, axis=1).astype(np.complex64).transpose(1, 0, 2)
        matched = np.fft.irfft(spectrum @ self._transform, n=PERIOD, axis=0).transpose(1, 0, 2)
        return np.asarray(matched / _norm(folded)[:, None, None], dtype=np.float32)


def evidence(matches: Floats) -> Floats:
    """How much matches (..., 129) look like a mark: the pilot, and the likelihood of bits of unknown sign."""
    bits = np.abs(matches[..., 1:] * np.float32(_SOFT_GAIN))  # log cosh of these, without overflow
    beyond = np.log(np.exp(-2 * bits) + 1)
    beyond += bits
    pilot = np.maximum(matches[..., 0], 0)  # one that was learnt from many clips and taken out speaks not against bits
    return np.asarray(beyond.sum(axis=-1) - BITS * _LOG_2 + _SOFT_GAIN * PILOT * pilot, dtype=np.float32)


def fold(statistic: Floats) -> Floats:
    """Sum of a statistic (..., slots, BANDS) over periods: (..., PERIOD, BANDS). The last one may be incomplete."""
    slots = statistic.shape[-2]
    out = np.zeros((*statistic.shape[:-2], PERIOD, BANDS), np.float32)
    for begin in range(0, slots, PERIOD):
        out[..., : min(PERIOD, slots - begin), :] += statistic[..., begin : begin + PERIOD, :]
    return out


def _norm(folded: Floats) -> Floats:
    return np.asarray(np.sqrt(np.sum(folded * folded, axis=(-2, -1)) + 1e-9))


def _derive(key: bytes, label: bytes) -> bytes:
    return hmac.new(key, label, hashlib.sha256).digest()

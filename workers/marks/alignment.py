"""Whether a candidate of the index really is in the query, and where.

The pairs that both have give the line of time (offset and speed); then the sketch is compared along it. From the
agreement that of the same two pieces shifted against each other is taken off: so a voice's habits or hum, which agree
at any shift, count for nothing.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from workers.marks import sketch
from workers.marks.fingerprint import Fingerprint, Query, parse
from workers.marks.landmarks import BINS_PER_OCTAVE, FRAMES_PER_SECOND, Floats, Pairs

Doubles = NDArray[np.float64]
Change = tuple[float, float]
"""(speed, pitch) of a copy as factors of the original's: (1.05, 1.0) is a tempo 5 % faster at the same pitch."""
UNCHANGED: Change = (1.0, 1.0)


@dataclass(frozen=True)
class Candidate:
    """A place in a fingerprint that has pairs in common with a query.

    `offset`: frames of the original at the query's start, so that original frame = query frame * speed + offset.
    """

    number: int
    hits: int
    shift: int  # bins that the query's pairs were moved by: minus the copy's change of pitch
    speed: float  # of the copy's time: 1.05 is 5 % faster
    offset: float

    @property
    def pitch(self) -> float:
        """The copy's pitch as a factor of the original's."""
        return float(2.0 ** (-self.shift / BINS_PER_OCTAVE))


@dataclass(frozen=True)
class Verified:
    """A stretch of the query that is the same audio as a stretch of the original. All times in seconds."""

    number: int
    score: float
    """Agreement of the sketch beyond that at other shifts, in deviations of as many independent cells; and two for
    each pair of peaks in common on the line of time beyond those that the same words in another voice may have, or
    less four for each that is missing."""
    agreement: float
    """Share of the sketch's bits that agree on the stretch: 0.5 is chance."""
    query_from: float
    query_to: float
    original_from: float
    original_to: float
    speed: float
    pitch: float
    false_rate: float
    """Upper estimate of how often the best of other clips, of the same voice too, reaches this score in one query."""

    @property
    def seconds(self) -> float:
        """How much of the original is in the query."""
        return self.original_to - self.original_from


ACCEPT_SCORE = 22.0
"""Below, a candidate is not verified. Who names a clip asks for more: for a `false_rate`."""
LEAST_SECONDS = 0.9
_USUAL_HITS, _USUAL_SECONDS = 8.0, 4.0  # common pairs that count for nothing: so many in 4 s, more in longer stretches
_HIT, _HITS_MOST = 2.0, 20.0  # what each one more is worth, and how many count
_MISSING_HIT, _MISSING_MOST = 4.0, 40.0  # what each one less takes off, and how much at most
_TAIL_AT, _TAIL_SHARE, _TAIL_SCALE = 14.6, 0.01, 4.0
_CANDIDATES = 20  # that one query is compared to
_LINE_FRAMES = 5.0  # how far a common pair may be from the line
_LINE_LEAST = 4  # common pairs from which a line is fitted
_SPEED_REACH = 0.03  # what the fit may change
_NULL_LEAST = 10  # slots; at shifts by less, the two are still alike
_SMOOTH_SECONDS = 0.9
_QUIET = 0.45  # share of the best second's agreement below which a part does not belong to the stretch

_PIECE, _PIECE_STEP = 10 * FRAMES_PER_SECOND, 5 * FRAMES_PER_SECOND  # frames of a long query correlated at once
_LAGS_OF_EACH, _LAGS_IN_ALL = 2, 6  # places looked at closely: of one piece and change, and of all
_USUAL_LAGS = 51  # the correlation at these lags around one tells what is usual
# What `agrees` asks for: the same words in another voice agree in proportion to the root of their length, but have
# next to no pairs of peaks in common.
_AGREE_SCORE, _AGREE_LEAST_SECONDS = 22.5, 1.4
_AGREE_HIT, _AGREE_HITS_MOST = 4.0, 8


def verify(query: Query, data: bytes, candidate: Candidate) -> Verified | None:
    """Compare a candidate. None when too little of it overlaps, or it is no better than other clips.

    Raises BadFingerprint when `data` is no fingerprint.
    """
    original = parse(data)
    speed, offset, hits = _fit(query, original, candidate)
    best = _around(query, original, speed, offset, -float(candidate.shift))
    if best is None:
        return None
    score = best.score + _worth(hits, best.seconds)
    if score < ACCEPT_SCORE:
        return None
    return _told(query, original, candidate.number, best, score)


def agrees(query: Query, data: bytes, changes: Iterable[Change] = (UNCHANGED,), *, number: int = -1) -> Verified | None:
    """Whether the query sounds like this one clip anywhere at all; None when it does not.

    For a clip that something else names, such as a mark: a mark can be copied onto foreign speech, its sound can't.
    Every offset is tried, under each of `changes`: (1 / time_scale, pitch_scale) of a mark's reading, exact to half a
    per cent. It asks for less than `verify` and is no ground to name a clip; `false_rate` is that of `verify`.
    Measured by benches/fingerprint_calibration.py on queries of 2, 3 and 5 s through 23 attacks: 0.6 % of 12,174 pieces
    of the same words in another voice agree, and none of 25,481 of other words, human speech, music and noise. Of true
    copies 98 to 99 % do; most of the others are of 2 s in a very large room or under louder sounds. The best of all
    pieces of 10 s counts, so that long queries agree by chance more often: give the part that the mark was read in.

    Raises BadFingerprint when `data` is no fingerprint.
    """
    original = parse(data)
    best = best_place(query, original, changes)
    if best is None:
        return None
    ours, theirs = common(query.pairs(shift=-round(best.shift), stretch=best.speed), original.pairs)
    hits = _on_line(ours, theirs, best.speed, best.offset)
    seconds = best.seconds
    counted = min(hits, _AGREE_HITS_MOST * max(seconds / 3, 1.0))
    if best.score + _AGREE_HIT * counted < _AGREE_SCORE * math.sqrt(max(seconds, _AGREE_LEAST_SECONDS)):
        return None
    return _told(query, original, number, best, best.score + _worth(hits, seconds))


def _told(query: Query, original: Fingerprint, number: int, best: Compared, score: float) -> Verified:
    start, end = best.start / FRAMES_PER_SECOND, best.end / FRAMES_PER_SECOND
    at = best.offset / FRAMES_PER_SECOND
    return Verified(
        number,
        score,
        best.agreement,
        max((start - at) / best.speed, 0.0),
        min((end - at) / best.speed, query.seconds),
        start,
        min(end, original.seconds),
        best.speed,
        float(2.0 ** (best.shift / BINS_PER_OCTAVE)),
        false_rate(score),
    )


def false_rate(score: float) -> float:
    """Upper estimate of the share of queries in which a clip that is not in the query reaches `score`.

    As if the query were the same text as twenty clips in other voices: the worst kind of pair that is no copy. Measured
    by benches/fingerprint_calibration.py, each pair aligned by force at its best places: 12,174 pairs of one text in
    33 voices, 3,168 of them whole clips, where the largest score was 22.8; and 25,481 pairs of other texts of the same
    voice, human speech, music and noise, where it was 0.3. The exponential lies above what each half of the voices
    and whole clips alone gave, everywhere; beyond 22.8 it is an extrapolation. A clip of the same voice that says the
    same words is no such pair: three seconds of it reached 55. Only its rivals and the mark tell it apart.
    """
    return min(1.0, _CANDIDATES * _TAIL_SHARE * math.exp((_TAIL_AT - score) / _TAIL_SCALE))


def _worth(hits: int, seconds: float) -> float:
    """What so many pairs in common add to the score of a stretch."""
    more = hits - _USUAL_HITS * max(seconds / _USUAL_SECONDS, 1.0)
    return min(_HIT * more, _HIT * _HITS_MOST) if more >= 0 else max(_MISSING_HIT * more, -_MISSING_MOST)


def _fit(query: Query, original: Fingerprint, candidate: Candidate) -> tuple[float, float, int]:
    """Speed and offset by least squares over the pairs that both have near the candidate's line, and how many."""
    copy = query.pairs(shift=candidate.shift, stretch=candidate.speed)
    ours, theirs = common(copy, original.pairs)
    speed, offset = candidate.speed, candidate.offset
    for reach in (_LINE_FRAMES, _LINE_FRAMES / 2):
        near = np.abs(theirs - ours * speed - offset) <= reach
        x, y = ours[near], theirs[near]
        if len(x) < _LINE_LEAST:
            break
        offset = float(np.median(y - x * speed))
        if np.ptp(x) < FRAMES_PER_SECOND:
            continue
        spread = x - x.mean()
        slope = float(spread @ (y - y.mean()) / (spread @ spread))
        # A short or thin line tells the speed worse than the variant that found it.
        if abs(slope / candidate.speed - 1) <= _SPEED_REACH:
            speed, offset = slope, float(y.mean() - slope * x.mean())
    return speed, offset, max(_on_line(ours, theirs, speed, offset), candidate.hits)


def _on_line(ours: Doubles, theirs: Doubles, speed: float, offset: float) -> int:
    """How many common pairs lie on a line of time."""
    return int(np.sum(np.abs(theirs - ours * speed - offset) <= _LINE_FRAMES / 2))


def common(copy: Pairs, original: Pairs) -> tuple[Doubles, Doubles]:
    """Frames (copy, original) of all pairs with the same code."""
    order = np.argsort(original.code, kind="stable")
    codes = original.code[order]
    low, high = np.searchsorted(codes, copy.code, "left"), np.searchsorted(codes, copy.code, "right")
    counts = high - low
    which = np.repeat(np.arange(len(low)), counts)
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    at = order[low[which] + within]
    return copy.frame[which].astype(np.float64), original.frame[at].astype(np.float64)


@dataclass(frozen=True)
class Compared:
    """How the sketch agrees along one line of time."""

    score: float
    agreement: float
    start: float  # frames of the original
    end: float
    offset: float
    speed: float
    shift: float  # bins that the copy is higher

    @property
    def seconds(self) -> float:
        """How long the stretch is in the original."""
        return (self.end - self.start) / FRAMES_PER_SECOND


def _compare(query: Query, original: Fingerprint, speed: float, offset: float, shift: float) -> Compared | None:
    """Agreement of the sketch along a line, on the stretch where the two are alike."""
    first = max(0, math.ceil(offset / sketch.SLOT))
    last = min(len(original.sketch), int((query.bands.frames * speed + offset) / sketch.SLOT))
    least = int(LEAST_SECONDS * sketch.SLOTS_PER_SECOND)
    if last - first < least:
        return None
    at = (first * sketch.SLOT - offset) / speed
    levels = query.bands.slots(at, sketch.SLOT / speed, last - first, shift)
    heard = sketch.pattern(levels)
    told = sketch.signs(original.sketch[first:last])
    begin, end = _stretch((heard * told).sum(axis=1))
    if end - begin < least:
        return None
    score = _normalised(heard[begin:end], told[begin:end])
    agreement = float(np.mean((heard[begin:end] > 0) == (told[begin:end] > 0)))
    start, stop = (first + begin) * sketch.SLOT, (first + end) * sketch.SLOT
    return Compared(score, agreement, float(start), float(stop), offset, speed, shift)


def _around(query: Query, original: Fingerprint, speed: float, offset: float, shift: float) -> Compared | None:
    """The best of a line and those half a slot beside it."""
    best: Compared | None = None
    for move in (0.0, -sketch.SLOT / 2, sketch.SLOT / 2):
        best = _better(best, _compare(query, original, speed, offset + move, shift))
    return best


def _better(one: Compared | None, other: Compared | None) -> Compared | None:
    return max((each for each in (one, other) if each is not None), key=lambda each: each.score, default=None)


def _stretch(rows: Floats) -> tuple[int, int]:
    """The part whose rows are worth most, each less a share of what the best second has: (begin, end) in slots."""
    width = min(int(_SMOOTH_SECONDS * sketch.SLOTS_PER_SECOND), len(rows))
    best = float(np.convolve(rows, np.ones(width) / width, mode="valid").max())
    sums = np.concatenate([[0.0], np.cumsum(rows - max(_QUIET * best, 0.0))])
    end = int(np.argmax(sums - np.minimum.accumulate(sums)))
    return int(np.argmin(sums[: end + 1])), end


def _normalised(heard: Floats, told: Floats) -> float:
    """The agreement less its mean at other shifts, in deviations of as many independent cells."""
    size = len(heard)
    transform = scipy.fft.rfft(heard, axis=0) * np.conj(scipy.fft.rfft(told, axis=0))
    at_shifts = scipy.fft.irfft(transform.sum(axis=1), n=size)
    others = at_shifts[_NULL_LEAST : size - _NULL_LEAST + 1]
    usual = max(float(others.mean()), 0.0) if len(others) else 0.0
    return (float(at_shifts[0]) - usual) / math.sqrt(float(np.sum(heard * heard)) + 1e-9)


def best_place(query: Query, original: Fingerprint, changes: Iterable[Change] = (UNCHANGED,)) -> Compared | None:
    """Where the two agree best, over every offset and the given changes; None when they are too short.

    Time is that of one correlation of 32 bands for each change and each five seconds of the query.
    """
    told = sketch.signs(original.sketch)
    found: list[tuple[float, float, Change]] = []
    for speed, pitch in changes:
        for value, offset in _lags(query, told, speed, BINS_PER_OCTAVE * math.log2(pitch)):
            found.append((value, offset, (speed, pitch)))
    best: Compared | None = None
    for _, offset, (speed, pitch) in heapq.nlargest(_LAGS_IN_ALL, found):
        best = _better(best, _around(query, original, speed, offset, BINS_PER_OCTAVE * math.log2(pitch)))
    return best


def _lags(query: Query, told: Floats, speed: float, shift: float) -> Iterator[tuple[float, float]]:
    """(how much it stands out, offset) of the best places of each piece of the query."""
    least = int(LEAST_SECONDS * sketch.SLOTS_PER_SECOND)
    longest = int(min(_PIECE, query.bands.frames) * speed / sketch.SLOT)
    if min(longest, len(told)) < least:
        return
    size = scipy.fft.next_fast_len(longest + len(told), real=True)
    transformed = scipy.fft.rfft(told, size, axis=0)
    for begin in range(0, max(query.bands.frames - _PIECE_STEP, 1), _PIECE_STEP):
        count = int(min(_PIECE, query.bands.frames - begin) * speed / sketch.SLOT)
        heard = sketch.pattern(query.bands.slots(begin, sketch.SLOT / speed, count, shift))
        transform = transformed * np.conj(scipy.fft.rfft(heard, size, axis=0))
        lags = np.arange(least - count, len(told) - least + 1)
        agreement = scipy.fft.irfft(transform.sum(axis=1), size)[lags]
        energy = np.concatenate([[0.0], np.cumsum(np.sum(heard * heard, axis=1))])
        energy = energy[np.minimum(count, len(told) - lags)] - energy[np.maximum(0, -lags)]
        value = agreement / np.sqrt(energy + 1e-9)
        value = value - uniform_filter1d(value, _USUAL_LAGS, mode="nearest")
        for at in np.argpartition(-value, min(_LAGS_OF_EACH, len(value) - 1))[:_LAGS_OF_EACH]:
            yield float(value[at]), float(lags[at] * sketch.SLOT - begin * speed)

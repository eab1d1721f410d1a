"""Segments of speech made one clip: edges cut at quiet points, faded, and set apart by pauses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workers.engines.base import Floats, Segment

FADE_SECONDS = 0.008
_FRAME_SECONDS = 0.005
_QUIET_DB = -46.0  # below the loudest frame: breath and reverberation still count as speech
_LEAD_SECONDS = 0.03
_TAIL_SECONDS = 0.06


def join(segments: Iterable[Segment]) -> tuple[Floats, int]:
    """One clip, mono float32, and its sample rate. Raises ValueError for no segment or mixed rates."""
    parts: list[Floats] = []
    rates: set[int] = set()
    for segment in segments:
        rates.add(segment.sample_rate)
        parts.append(shape(segment))
    if len(rates) != 1:
        raise ValueError("Segments to join must exist and share one sample rate.")
    return np.concatenate(parts), rates.pop()


def shape(segment: Segment) -> Floats:
    """A segment as it lies in the clip: trimmed, its ends faded to exact silence, its pause behind it.

    Shaped segments of one request may be put end to end as they come, which is what a stream does.
    """
    pcm = faded(trimmed(segment.pcm, segment.sample_rate), segment.sample_rate)
    pause = np.zeros(round(max(segment.pause, 0.0) * segment.sample_rate), np.float32)
    return np.concatenate([pcm, pause])


def trimmed(pcm: Floats, rate: int) -> Floats:
    """`pcm` without the silence around its speech, but for 30 ms before and 60 ms behind."""
    frame = max(1, round(_FRAME_SECONDS * rate))
    count = pcm.size // frame
    if count == 0:
        return pcm
    energy = np.square(pcm[: count * frame].reshape(count, frame)).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (_QUIET_DB / 10))
    if loud.size == 0:
        return pcm
    start = max(0, int(loud[0]) * frame - round(_LEAD_SECONDS * rate))
    stop = (int(loud[-1]) + 1) * frame + round(_TAIL_SECONDS * rate)
    return pcm[start:stop]


def faded(pcm: Floats, rate: int) -> Floats:
    """A copy that rises from 0 and falls to 0 along a raised cosine of 8 ms (less for a very short clip)."""
    result = np.array(pcm, np.float32)
    length = min(round(FADE_SECONDS * rate), result.size // 2)
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
        result[:length] *= ramp
        result[-length:] *= ramp[::-1]
    return result

"""Shares and their intervals."""

from __future__ import annotations

import math

Z95 = 1.959964


def wilson(hits: int, of: int, z: float = Z95) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which is also right near 0 and 1. (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, z * z
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def at_most(hits: int, of: int, confidence: float = 0.95) -> float:
    """The largest share that `hits` of `of` do not rule out (Clopper and Pearson's upper end, one-sided).

    For no hit at all this is the "rule of three": about 3 / of.
    """
    if hits >= of:
        return 1.0
    low, high = hits / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_cdf(hits, of, middle) > 1 - confidence else (low, middle)
    return high


def _binomial_cdf(hits: int, of: int, share: float) -> float:
    if share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    logs = [
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
        + k * math.log(share) + (of - k) * math.log1p(-share)
        for k in range(hits + 1)
    ]  # fmt: skip
    return min(sum(map(math.exp, logs)), 1.0)


def percent(share: float) -> str:
    """99.5 %, or 100 %."""
    return "100 %" if share == 1 else f"{math.floor(share * 1000 + 1e-9) / 10:.1f} %"

"""The picture of an evidence bundle: query and original, one above the other, with the stretch in which they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, TALL = 960, 360, 110
_LEFT, _INNER = 20, 920
_ROWS = (40, 210)


def alignment(
    query_peaks: Sequence[float],
    query_seconds: float,
    original_peaks: Sequence[float],
    original_seconds: float,
    matched: Mapping[str, float],
) -> str:
    """An SVG file. Peaks are 0 to 1, evenly spaced; `matched` as `TraceQuery.matched`, or empty."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="Waveforms of query and original, with the matching stretch marked">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    if matched:
        parts.append(_band(matched, query_seconds, original_seconds))
    rows = (
        ("The file in question", query_peaks, query_seconds),
        ("The clip as made", original_peaks, original_seconds),
    )
    for top, (words, peaks, seconds) in zip(_ROWS, rows, strict=True):
        parts.append(f'<text x="{_LEFT}" y="{top - 12}" fill="#222">{escape(words)}, {seconds:.2f} s</text>')
        parts.append(_wave(peaks, top))
    if matched:
        said = (
            f"The two agree: {matched['query_from']:.2f} to {matched['query_to']:.2f} s of the file, "
            f"{matched['original_from']:.2f} to {matched['original_to']:.2f} s of the clip"
        )
        parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 12}" fill="#222">{escape(said)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _wave(peaks: Sequence[float], top: int) -> str:
    middle = top + TALL / 2
    step = _INNER / max(len(peaks), 1)
    lines = [
        f"M{_LEFT + step * (i + 0.5):.1f} {middle - h:.1f}V{middle + h:.1f}"
        for i, peak in enumerate(peaks)
        if (h := max(0.5, min(max(float(peak), 0.0), 1.0) * TALL / 2))
    ]
    return (
        f'<path d="{"".join(lines) or f"M{_LEFT} {middle}h{_INNER}"}" stroke="#345" stroke-width="{min(step, 2):.2f}"/>'
    )


def _band(matched: Mapping[str, float], query_seconds: float, original_seconds: float) -> str:
    """The stretch in both rows, and what lies between them joined."""
    a, b = (_at(matched[end], query_seconds) for end in ("query_from", "query_to"))
    c, d = (_at(matched[end], original_seconds) for end in ("original_from", "original_to"))
    top, between, below, end = _ROWS[0], _ROWS[0] + TALL, _ROWS[1], _ROWS[1] + TALL
    points = [(a, top), (b, top), (b, between), (d, below), (d, end), (c, end), (c, below), (a, between)]
    path = " ".join(f"{x:.1f},{y}" for x, y in points)
    return f'<polygon points="{path}" fill="#ffd97a" fill-opacity="0.55" stroke="#b8860b"/>'


def _at(moment: float, seconds: float) -> float:
    return _LEFT + _INNER * min(max(moment / max(seconds, 1e-9), 0.0), 1.0)

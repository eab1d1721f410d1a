"""Bars with intervals, drawn as SVG that is readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LABEL, _PLOT, _ROW, _TOP = 330, 420, 20, 44
_INK, _FAINT = "#777", "#7775"
_FULL, _PART = "#2f81f7", "#d29922"


@dataclass(frozen=True)
class Bar:
    """A share with its interval; `second` is another share of the same row."""

    label: str
    share: float
    low: float
    high: float
    second: float | None = None


def bars(title: str, legend: tuple[str, str], rows: Sequence[Bar]) -> str:
    """One row for each bar: the share as a bar with its interval, the second share as a dot."""
    height = _TOP + _ROW * len(rows) + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LABEL + _PLOT + 30} {height}" '
        f'font-family="system-ui,sans-serif" font-size="12" fill="{_INK}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<text x="{_LABEL}" y="16" font-weight="600">{escape(title)}</text>',
        f'<rect x="{_LABEL}" y="25" width="10" height="8" fill="{_FULL}"/><text x="{_LABEL + 14}" y="33">'
        f"{escape(legend[0])}</text>",
        f'<circle cx="{_LABEL + 225}" cy="29" r="4" fill="{_PART}"/><text x="{_LABEL + 234}" y="33">'
        f"{escape(legend[1])}</text>",
    ]
    for percent in (0, 25, 50, 75, 100):
        x = _x(percent / 100)
        parts.append(f'<path d="M{x} {_TOP}V{height - 22}" stroke="{_FAINT}"/>')
        parts.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle">{percent} %</text>')
    for number, row in enumerate(rows):
        y = _TOP + number * _ROW + _ROW // 2
        parts += [
            f'<text x="{_LABEL - 8}" y="{y + 4}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect x="{_LABEL}" y="{y - 5}" width="{_x(row.share) - _LABEL:.1f}" height="10" fill="{_FULL}"/>',
            f'<path d="M{_x(row.low):.1f} {y}H{_x(row.high):.1f}" stroke="{_INK}" stroke-width="2"/>',
        ]
        if row.second is not None:
            parts.append(f'<circle cx="{_x(row.second):.1f}" cy="{y}" r="4" fill="{_PART}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(share: float) -> float:
    return _LABEL + _PLOT * share

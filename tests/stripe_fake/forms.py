"""Stripe's way to write nested parameters in a form or a query: `items[0][price]=price_1`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl


def unflatten(encoded: str) -> dict[str, Any]:
    """Nested dicts and lists from `a[b][0]=c`. All leaves are text, as on the wire; `a[]=x` appends."""
    nested: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        place: dict[str, Any] = nested
        for part in rest:
            place = place.setdefault(head, {})
            head = part or str(len(place))
        place[head] = value
    return {name: _with_lists(value) for name, value in nested.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_with_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _with_lists(each) for name, each in value.items()}

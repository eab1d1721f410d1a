"""Whether JSON is what the official library says that an object of Stripe's looks like.

The library's classes are generated from Stripe's own description of the API, so their annotations are the nearest to
the truth that there is without a network.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import types
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from stripe import ListObject, StripeObject
from stripe._stripe_object import UntypedStripeObject

_LEAVES = {str: str, int: int, bool: bool, float: (int, float), Decimal: str}
"""Types of the library, and those that they have in JSON."""


def problems(value: Any, kind: Any, where: str = "") -> list[str]:
    """What is wrong with `value` as an object of the library's class (or other annotation) `kind`; empty if nothing."""
    origin = get_origin(kind)
    if kind is Any:
        return []
    if origin is Union or origin is types.UnionType:
        choices = get_args(kind)
        if any(get_origin(each) is Literal for each in choices):  # "or any text" is for values of later versions
            choices = tuple(each for each in choices if each is not str)
        if value is None and type(None) in choices:
            return []
        return min((problems(value, each, where) for each in choices if each is not type(None)), key=len)
    if value is None:
        return [f"{where}: null, not {kind}"]
    if origin is Literal:
        return [] if value in get_args(kind) else [f"{where}: {value!r} is none of {get_args(kind)}"]
    if kind in _LEAVES:
        fits = isinstance(value, _LEAVES[kind]) and isinstance(value, bool) == (kind is bool)
        return [] if fits else [f"{where}: {value!r} is no {kind.__name__}"]
    if origin is list:
        return _each(value, get_args(kind)[0], where)
    if origin is ListObject:
        return _page(value, get_args(kind)[0], where)
    if origin in (dict, UntypedStripeObject):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        return [
            found for name, each in value.items() for found in problems(each, get_args(kind)[-1], f"{where}.{name}")
        ]
    if inspect.isclass(kind) and issubclass(kind, StripeObject):
        return _object(value, kind, where)
    return [f"{where}: the annotation {kind} is not understood"]


def _each(value: Any, kind: Any, where: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{where}: {value!r} is no list"]
    return [found for index, each in enumerate(value) for found in problems(each, kind, f"{where}[{index}]")]


def _page(value: Any, kind: Any, where: str) -> list[str]:
    if not isinstance(value, dict) or set(value) != {"object", "data", "has_more", "url"} or value["object"] != "list":
        return [f"{where}: {value!r} is no list object"]
    return _each(value["data"], kind, f"{where}.data")


def _object(value: Any, kind: type[StripeObject], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind.__name__}"]
    known = fields(kind)
    named = getattr(kind, "OBJECT_NAME", None)
    found = [f"{where}.{name}: {kind.__name__} has no such field" for name in value if name not in known]
    required = [name for name, hint in known.items() if type(None) not in get_args(hint)]
    found += [f"{where}.{name}: missing" for name in required if name not in value]
    if named is not None and value.get("object") != named:
        found.append(f"{where}: object is {value.get('object')!r}, not {named!r}")
    for name in value.keys() & known.keys():
        found += problems(value[name], known[name], f"{where}.{name}")
    return found


@cache
def fields(kind: type[StripeObject]) -> dict[str, Any]:
    """The fields of a class of the library, with their types."""
    names: dict[str, Any] = {}
    for each in kind.__mro__:
        if each.__module__.startswith("stripe."):
            names |= _imported_for_types(each.__module__)
    hints = get_type_hints(kind, localns=names)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar and not name.startswith("_")}


@cache
def _imported_for_types(module: str) -> dict[str, Any]:
    """What a module of the library imports for type checkers only; its annotations name these."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found: dict[str, Any] = {}
    for statement in (each for node in guarded for each in node.body if isinstance(each, ast.ImportFrom)):
        origin = str(statement.module)
        if origin.startswith("stripe.params"):
            continue
        for name in statement.names:
            found[name.asname or name.name] = getattr(importlib.import_module(origin), name.name)
    return found

"""The page of API keys: which there are, what each may do, making, renaming, replacing and revoking them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts import keys
from app.accounts.identity import Caller, Confirmed, SignedIn, acting, address_of, looking
from app.accounts.key_models import ApiKey, Scope
from app.accounts.key_networks import MOST as MOST_NETWORKS
from app.accounts.key_networks import admits, parse_networks
from app.accounts.models import Account
from app.billing.ledger import spent_with_key
from app.core.db import now
from app.core.errors import Invalid
from app.core.services import Services, services_of
from app.site.pages import page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
PATH = "/account/keys"
LONGEST_LIFE = timedelta(days=3660)
Read = TypeVar("Read")
Expiry = Literal["never", "30", "90", "365", "date"]
_FIELDS = {"key.scopes": "scope", "key.cap": "cap", "key.expires": "expires"}


@dataclass(frozen=True)
class NewKey:
    """The form for a new key, as it was filled in."""

    name: str = ""
    scopes: tuple[Scope, ...] = (Scope.READ, Scope.SPEAK)
    cap: str = ""
    networks: str = ""
    expires: str = "never"
    expires_on: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    def terms(self) -> keys.Terms | None:
        """What the form asks for; None, with every `errors` filled in, when part of it can't be read."""
        cap = self._read("cap", lambda: _cap(self.cap))
        networks = self._read("networks", lambda: parse_networks(self.networks))
        expires_at = self._read("expires", lambda: _expiry(self.expires, self.expires_on))
        return None if self.errors else keys.Terms(frozenset(self.scopes), cap, tuple(networks or ()), expires_at)

    def _read(self, name: str, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except Invalid as error:
            self.errors[name] = error.message
            return None


def _cap(typed: str) -> int | None:
    digits = re.sub(r"[\s,.'’_]", "", typed)  # people group digits in many ways
    if not digits:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", digits):
        raise Invalid("key.cap", "Write the monthly limit as a whole number of characters, or leave it empty.")
    return int(digits)


def _expiry(chosen: str, day: str) -> datetime | None:
    if chosen == "never":
        return None
    if chosen != "date":
        return now() + timedelta(days=int(chosen))
    try:
        last = date.fromisoformat(day.strip())
    except ValueError:
        raise Invalid("key.expires", "Choose the last day on which the key should work.") from None
    if last > (now() + LONGEST_LIFE).date():
        raise Invalid("key.expires", "Choose a day within the next ten years, or no end.")
    return datetime.combine(last + timedelta(days=1), time(), UTC)


@router.get(PATH)
def show_keys(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    return _keys_page(request, services, caller)


@router.get(PATH + "/new")
def new_key(request: Request, caller: Confirmed, services: Parts) -> Response:
    """The form for a new key; who has not proved themselves lately does it before filling it in."""
    return _form_page(request, services, caller, NewKey())


@router.post(PATH)
def make_key(
    request: Request,
    caller: Confirmed,
    services: Parts,
    name: Annotated[str, Form(max_length=200)] = "",
    scope: Annotated[list[Scope] | None, Form(max_length=len(Scope))] = None,
    cap: Annotated[str, Form(max_length=40)] = "",
    networks: Annotated[str, Form(max_length=2000)] = "",
    expires: Annotated[Expiry, Form()] = "never",
    expires_on: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """A new key, shown on this answer only."""
    form = NewKey(name, tuple(scope or ()), cap, networks, expires, expires_on)
    terms = form.terms()
    if terms is None:
        return _form_page(request, services, caller, form)
    try:
        with acting(services, caller) as (session, account):
            made = keys.create_key(session, account, name, caller.actor, terms)
    except Invalid as error:
        form.errors[_FIELDS.get(error.code, "name")] = error.message
        return _form_page(request, services, caller, form)
    return _keys_page(request, services, caller, made=made)


@router.post(PATH + "/{key_id}/rename")
def rename_key(
    request: Request,
    key_id: uuid.UUID,
    caller: SignedIn,
    services: Parts,
    name: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Call a key something else."""
    try:
        with acting(services, caller) as (session, account):
            keys.rename_key(session, account, key_id, name, caller.actor)
    except Invalid as error:
        return _keys_page(request, services, caller, problem=error.message)
    return see(PATH)


@router.post(PATH + "/{key_id}/rotate")
def rotate_key(
    request: Request,
    key_id: uuid.UUID,
    caller: Confirmed,
    services: Parts,
    old: Annotated[Literal["now", "later"], Form()] = "now",
) -> Response:
    """Replace a key by a new one on the same terms, shown on this answer only."""
    grace = keys.ROTATION_GRACE if old == "later" else timedelta(0)
    try:
        with acting(services, caller) as (session, account):
            made = keys.rotate_key(session, account, key_id, caller.actor, grace=grace)
    except Invalid as error:
        return _keys_page(request, services, caller, problem=error.message)
    return _keys_page(request, services, caller, made=made)


@router.post(PATH + "/{key_id}/revoke")
def revoke_key(key_id: uuid.UUID, caller: SignedIn, services: Parts) -> Response:
    """Make a key useless."""
    with acting(services, caller) as (session, account):
        keys.revoke_key(session, account, key_id, caller.actor)
    return see(PATH)


def _keys_page(
    request: Request,
    services: Services,
    caller: Caller,
    *,
    made: tuple[ApiKey, str] | None = None,
    problem: str | None = None,
) -> Response:
    address = address_of(request)
    with looking(services, caller) as (session, account):
        return page(
            request,
            "keys.html",
            account,
            422 if problem else 200,
            keys=[_live(session, key) for key in keys.live_keys(session, account.id)],
            ended=[_ended(key) for key in keys.ended_keys(session, account.id)],
            made=_made(*made, address) if made else None,
            problem=problem,
            address=address,
            most_keys=keys.MOST_KEYS,
            longest_name=keys.LONGEST_NAME,
            grace_hours=int(keys.ROTATION_GRACE.total_seconds() // 3600),
        )


def _made(row: ApiKey, key: str, address: str) -> dict[str, Any]:
    return {"key": key, "name": row.name, "here": admits(row.allowed_networks, address)}


def _form_page(request: Request, services: Services, caller: Caller, form: NewKey) -> Response:
    with looking(services, caller) as (_, account):
        return page(
            request,
            "key_new.html",
            account,
            422 if form.errors else 200,
            form=form,
            scopes=_choices(account),
            address=address_of(request),
            most_networks=MOST_NETWORKS,
            longest_name=keys.LONGEST_NAME,
            today=now().date().isoformat(),
        )


SCOPE_WORDS = {
    Scope.READ: ("Look", "See voices, clips, the account and what is left of it, and fetch audio."),
    Scope.SPEAK: ("Speak", "Make clips. This uses up characters."),
    Scope.VOICES: ("Keep voices", "Make, change and delete voices, and send in or take back consents."),
    Scope.MODERATE: ("Moderate", "Trace audio and decide consents."),
}


def _choices(account: Account) -> list[dict[str, str]]:
    allowed = keys.scopes_of_role(account.role)
    return [
        {"value": scope.value, "label": label, "help": words}
        for scope, (label, words) in SCOPE_WORDS.items()
        if scope in allowed
    ]


def _live(session: Session, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "may": [SCOPE_WORDS[Scope(scope)][0] for scope in key.scopes],
        "cap": key.character_cap,
        "spent": spent_with_key(session, key.id),
        "networks": key.allowed_networks,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "ends_at": key.revoked_at,
        "used_at": key.last_used_at,
        "used_from": key.last_address,
    }


_ENDS = {
    "revoked": ("Revoked", "You revoked it."),
    "rotated": ("Replaced", "You replaced it by a new one."),
    "leaked": ("Found in public", "Somebody found it in a public place, so it was switched off."),
    "expired": ("Expired", "It reached the end that was set for it."),
}


def _ended(key: ApiKey) -> dict[str, Any]:
    why = keys.end_of(key) or "expired"
    label, words = _ENDS[why]
    at = key.expires_at if why == "expired" else key.revoked_at
    return {
        "name": key.name,
        "prefix": key.prefix,
        "tone": "bad" if why == "leaked" else "quiet",
        "label": label,
        "why": words,
        "at": at,
        "used_at": key.last_used_at,
        "used_from": key.last_address,
    }

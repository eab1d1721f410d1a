"""Who is asking: FastAPI dependencies that turn a cookie or an API key into a `Caller`.

A `Caller` is only an identity. Routes open their transaction with `acting`, which reads the account again inside it,
so that a ban counts from the next statement on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy.orm import Session

from app.accounts import confirmation, keys, second_factor, sessions
from app.accounts.key_models import Scope
from app.accounts.models import Account
from app.accounts.rules import Capability
from app.accounts.standing import refuse_banned, require
from app.core.audit import Actor
from app.core.errors import Unauthenticated
from app.core.services import Services, services_of
from app.settings import Settings


@dataclass(frozen=True)
class Caller:
    """A recognised account, and what it was recognised by."""

    account_id: uuid.UUID
    login_id: uuid.UUID | None = None
    key_id: uuid.UUID | None = None
    second_factor: bool = False
    """Whether the log-in session was completed by more than the password."""

    @property
    def actor(self) -> Actor:
        """The caller as the audit writes it."""
        return Actor("account", str(self.account_id))


def cookie_name(settings: Settings) -> str:
    """Name of the session cookie; the __Host- prefix needs TLS."""
    return "__Host-vouch" if settings.web.secure_cookies else "vouch_session"


def caller_by_cookie(request: Request, services: Annotated[Services, Depends(services_of)]) -> Caller:
    """The person whose browser this is. Raises Unauthenticated or, for a banned one, Forbidden."""
    token = request.cookies.get(cookie_name(services.settings), "")
    if not token:
        raise Unauthenticated("session.missing", "Please sign in.")
    idle = services.settings.web.session_idle
    with services.databases.reading() as session:
        account, login = sessions.account_of_session(session, token, idle)
    if sessions.seen_is_stale(login, idle):
        with services.databases.writing() as session:
            sessions.note_seen(session, login.id)
    return Caller(account.id, login_id=login.id, second_factor=login.second_factor)


def caller_confirmed(
    caller: Annotated[Caller, Depends(caller_by_cookie)], services: Annotated[Services, Depends(services_of)]
) -> Caller:
    """Somebody signed in who has proved a short while ago who they are. Raises NotConfirmed: pages then ask for it."""
    with services.databases.reading() as session:
        confirmation.demand(session, caller.login_id, services.settings)
    return caller


_KEY_HEADER = APIKeyHeader(name="xi-api-key", scheme_name="ApiKey", description="Your API key.", auto_error=False)
_BEARER = HTTPBearer(scheme_name="Bearer", description="The same API key, as a bearer token.", auto_error=False)


def caller_by_key(
    request: Request,
    wanted: SecurityScopes,
    services: Annotated[Services, Depends(services_of)],
    xi_api_key: Annotated[str | None, Security(_KEY_HEADER)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Caller:
    """The holder of an API key that has the scopes which the route names.

    Raises Unauthenticated, Refused (the address) or Forbidden (a scope is missing, or the account is banned).
    """
    if not wanted.scopes:
        raise RuntimeError("a route that takes an API key must name the scope that it needs: use key_with(...)")
    key = xi_api_key or (bearer.credentials if bearer else "")
    if not key:
        raise Unauthenticated("invalid_api_key", "Send your API key in the xi-api-key header.")
    address = address_of(request)
    with services.databases.reading() as session:
        account, row = keys.account_of_key(session, key, address=address)
        keys.require_scopes(account, row, wanted.scopes)
    if keys.key_use_is_stale(row):
        with services.databases.writing() as session:
            keys.note_key_use(session, row.id, address)
    return Caller(account.id, key_id=row.id)


def address_of(request: Request) -> str:
    """The network address that a request came from, or "" when the server does not know it.

    Behind a proxy it is the client's own only if the server trusts that proxy (uvicorn's forwarded-allow-ips).
    """
    return request.client.host if request.client else ""


def key_with(scope: Scope) -> Any:
    """The dependency of a route that needs an API key with a scope; the OpenAPI document then names it."""
    return Security(caller_by_key, scopes=[scope.value])


def moderator_by_key(
    caller: Annotated[Caller, Depends(caller_by_key)], services: Annotated[Services, Depends(services_of)]
) -> Caller:
    """The holder of a moderator's API key."""
    return _moderator(caller, services)


def moderator_by_cookie(
    caller: Annotated[Caller, Depends(caller_by_cookie)], services: Annotated[Services, Depends(services_of)]
) -> Caller:
    """A signed-in moderator."""
    return _moderator(caller, services)


def _moderator(caller: Caller, services: Services) -> Caller:
    with looking(services, caller) as (session, account):
        require(account, Capability.MODERATE)
        second_factor.demand(session, account, services.settings)
        if caller.login_id and not caller.second_factor and second_factor.required(account, services.settings):
            raise Unauthenticated("session.one_step", "Please sign in again, with the second step.")
    return caller


SignedIn = Annotated[Caller, Depends(caller_by_cookie)]
Confirmed = Annotated[Caller, Depends(caller_confirmed)]
"""For changes that matter: second factors, keys, the address, export and deletion."""
Reader = Annotated[Caller, key_with(Scope.READ)]
Speaker = Annotated[Caller, key_with(Scope.SPEAK)]
VoiceKeeper = Annotated[Caller, key_with(Scope.VOICES)]
SignedInModerator = Annotated[Caller, Depends(moderator_by_cookie)]
ModeratorKey = Annotated[Caller, Security(moderator_by_key, scopes=[Scope.MODERATE.value])]


@contextmanager
def acting(services: Services, caller: Caller) -> Iterator[tuple[Session, Account]]:
    """A writing transaction of the caller, with the account as it is now. Commits at the end of the block."""
    with services.databases.writing() as session:
        yield session, _present(session, caller)


@contextmanager
def looking(services: Services, caller: Caller) -> Iterator[tuple[Session, Account]]:
    """A reading transaction of the caller."""
    with services.databases.reading() as session:
        yield session, _present(session, caller)


def _present(session: Session, caller: Caller) -> Account:
    account = session.get_one(Account, caller.account_id)
    refuse_banned(account)
    return account

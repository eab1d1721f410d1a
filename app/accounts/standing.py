"""What an account may do now, and the refusals of what it may not."""

from __future__ import annotations

from app.accounts.models import Account
from app.accounts.rules import Capability, capabilities
from app.core.db import now
from app.core.errors import Forbidden


def capabilities_of(account: Account) -> frozenset[Capability]:
    """What the account may do now."""
    return capabilities(
        account.role,
        account.state,
        account.suspended_until,
        now(),
        proved=account.email_verified_at is not None,
        closing=account.closing_at is not None,
        erased=account.erased_at is not None,
    )


def require(account: Account, capability: Capability) -> None:
    """Raise Forbidden unless the account has the capability now."""
    if capability in capabilities_of(account):
        return
    rule = f"account.{capability.value}"
    if account.closing_at is not None:
        raise Forbidden(
            "account.closing",
            f"Your account will be deleted on {account.closing_at:%d %b %Y}. Until then it can't be used.",
            rule=rule,
            fix="If you want to keep it, undo the deletion on your account page.",
        )
    raise Forbidden(
        "account.not_allowed",
        "Your account may not do this.",
        rule=rule,
        fix="Use an account that has this right, or ask for it.",
    )


def refuse_banned(account: Account) -> None:
    """Raise Forbidden for an account that may not even sign in now: banned, deleted, or its address not yet proved."""
    if Capability.SIGN_IN in capabilities_of(account):
        return
    if account.erased_at is not None:
        raise Forbidden("account.erased", "This account has been deleted, as its owner asked.")
    if account.email_verified_at is None:
        raise Forbidden(
            "login.unproved",
            "Your sign-up is not finished: open the link in the mail that we sent you.",
            fix="If it has not come, have it sent again.",
        )
    raise Forbidden("account.banned", "This account has been closed for breaking the rules.")

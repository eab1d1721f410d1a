"""Changing an account's plan: the one way to do it, and who is told in the same transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.plans import PLANS
from app.core import audit
from app.core.audit import Actor
from app.core.errors import Invalid
from app.core.states import lock

PlanHook = Callable[[Session, Account, Actor], None]
_hooks: list[PlanHook] = []


def on_plan_change(hook: PlanHook) -> PlanHook:
    """Register what happens in the same transaction when an account's plan has changed (`account.plan` is the new one).

    Packages above billing use it, so that no voice outlives the plan that had room for it. The account is locked.
    """
    _hooks.append(hook)
    return hook


def set_plan(session: Session, account: Account, plan: str, actor: Actor, reason: str) -> bool:
    """Put an account on a plan; gives whether that is a change. Raises Invalid for a plan that there is not."""
    if plan not in PLANS:
        raise Invalid("account.plan", f"There is no plan {plan!r}. Plans are: {', '.join(PLANS)}.")
    lock(session, account)
    before = account.plan
    if before == plan:
        return False
    account.plan = plan
    audit.record(session, actor, "account.plan_changed", account, before=before, after=plan, reason=reason)
    for hook in _hooks:
        hook(session, account, actor)
    return True

"""Subscriptions and the plan that follows from them. `apply` is the only writer of Subscription, `set_plan` of a plan.

The plan follows the subscription only where it came from it: what the operator set by hand is not undone by the end of
an old subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing import ledger, letters
from app.billing.customers import BILLING
from app.billing.gateway import SubscriptionFacts
from app.billing.models import Subscription, SubscriptionStatus
from app.billing.periods import period_of
from app.billing.plans import PLANS
from app.billing.queries import GOOD, MISSING, subscription_of
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid
from app.core.states import lock
from app.settings import Settings

FREE = "free"
MAX_OVERAGE = 10
"""Most overage in a period, in allowances."""

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
    if not _hooks:
        raise RuntimeError("nothing follows the plan in this process: import app.voices.entitlements")
    lock(session, account)
    before = account.plan
    if before == plan:
        return False
    account.plan = plan
    audit.record(session, actor, "account.plan_changed", account, before=before, after=plan, reason=reason)
    for hook in _hooks:
        hook(session, account, actor)
    return True


def plan_due(subscription: Subscription | None) -> str:
    """The plan that a subscription gives now."""
    if subscription is None or subscription.plan not in PLANS:
        return FREE
    in_grace = subscription.status in MISSING and subscription.grace_until is not None
    return subscription.plan if subscription.status in GOOD or in_grace else FREE


def current_of(found: Sequence[SubscriptionFacts]) -> SubscriptionFacts | None:
    """The one of a customer's subscriptions (newest first) that counts: the best paid, the largest, the newest."""
    return max((facts for facts in found if facts.plan in PLANS), key=_weight, default=None)


def _weight(facts: SubscriptionFacts) -> tuple[int, int]:
    standing = 2 if facts.status in GOOD else int(facts.status in MISSING)
    return standing, PLANS[facts.plan].price_cents if standing and facts.plan else 0


def apply(
    session: Session,
    account: Account,
    facts: SubscriptionFacts | None,
    *,
    since: datetime | None,
    read_at: datetime,
    settings: Settings,
) -> bool:
    """Write down what a read has shown (None: no subscription at all), and have the plan follow it.

    `since` is the row's `read_at` before the read began (None: no row). Gives False and changes nothing when somebody
    else has written since: what was read may then be older than what is known, and must be read again.
    """
    lock(session, account)
    row = subscription_of(session, account.id)
    if (row.read_at if row is not None else None) != since:
        return False
    if row is None and facts is None:
        return True
    before = plan_due(row)
    if facts is not None:
        row = _write(session, account, row, facts, settings)
    elif row is not None:
        row.status, row.grace_until = SubscriptionStatus.CANCELED, None
    if row is not None:
        row.read_at = read_at
        session.flush()
        _follow(session, account, row, before, settings)
    return True


def _write(
    session: Session, account: Account, row: Subscription | None, facts: SubscriptionFacts, settings: Settings
) -> Subscription:
    assert facts.plan is not None, "current_of leaves out what is not a plan of ours"
    was_missing = row is not None and row.external_id == facts.id and row.status in MISSING
    before = row.status.value if row is not None else None
    _keep_allowance(session, account, row, facts)
    changed = row is None or (row.external_id, row.status, row.plan) != (facts.id, facts.status, facts.plan)
    if row is None:
        row = Subscription(account_id=account.id)
        session.add(row)
    row.external_id, row.plan, row.status = facts.id, facts.plan, facts.status
    row.period_start, row.period_end = facts.period_start, facts.period_end
    row.cancel_at_period_end = facts.cancel_at_period_end
    row.overage_cap = min(row.overage_cap or 0, most_overage(facts.plan))
    row.read_at = now()
    if facts.status not in MISSING:
        row.grace_until = None
    elif not was_missing:
        row.grace_until = now() + settings.billing.grace
    session.flush()
    if changed:
        seen = {"plan": facts.plan, "external_id": facts.id}
        audit.record(session, BILLING, "subscription.changed", row, before=before, after=facts.status.value, facts=seen)
    if row.grace_until is not None and not was_missing:
        letters.payment_missing(session, account, row, settings)
    return row


def _keep_allowance(session: Session, account: Account, row: Subscription | None, facts: SubscriptionFacts) -> None:
    """Another plan takes nothing away that was paid for: neither in its period, nor where a new one begins early."""
    if row is None or row.external_id != facts.id or row.plan != account.plan or not {row.status, facts.status} <= GOOD:
        return
    period = period_of(session, account, facts.period_start)  # news may be late: not the period of this moment
    if period.start < facts.period_start < period.end:
        ledger.carry_over(session, account, period, to=facts.period_start)
    elif row.period_start == facts.period_start and facts.plan != row.plan:
        ledger.grant_due(session, account, period)


def _follow(session: Session, account: Account, row: Subscription, before: str, settings: Settings) -> None:
    """Move the account to what the subscription gives now, if that has changed."""
    due = plan_due(row)
    if due == before or (due == FREE and account.plan != before):
        return
    reason = f"subscription {row.external_id} is {row.status.value}"
    if set_plan(session, account, due, BILLING, reason):
        letters.plan_changed(session, account, row, settings)


def end_graces(session: Session, settings: Settings) -> int:
    """Put accounts whose grace is over on the free plan; gives their number. For a duty that runs each minute."""
    over = select(Subscription.account_id).where(Subscription.grace_until <= now())
    ended = 0
    for account_id in session.scalars(over.order_by(Subscription.account_id).limit(100)).all():
        account = session.get_one(Account, account_id)
        lock(session, account)
        row = subscription_of(session, account_id)
        if row is None or row.grace_until is None or row.grace_until > now():
            continue  # paid in the meantime
        before = plan_due(row)
        row.grace_until = None
        _follow(session, account, row, before, settings)
        ended += 1
    return ended


def most_overage(plan: str) -> int:
    """The largest overage cap that a plan allows, in characters; 0 where it sells none."""
    chosen = PLANS[plan]
    return chosen.characters_a_month * MAX_OVERAGE if chosen.overage_cents_per_1000 else 0


def set_overage_cap(session: Session, account: Account, characters: int, actor: Actor) -> None:
    """Let up to so many characters beyond the allowance be billed in a period. Raises Invalid where that can't be."""
    lock(session, account)
    row = subscription_of(session, account.id)
    if row is None or row.status not in GOOD or row.plan != account.plan:
        raise Invalid("overage.no_plan", "Characters beyond the allowance need a paid plan that is in good standing.")
    most = most_overage(row.plan)
    if not 0 <= characters <= most:
        raise Invalid("overage.cap", f"Choose a number from 0 to {most:,}, which is {MAX_OVERAGE} allowances.")
    before, row.overage_cap = row.overage_cap, characters
    audit.record(session, actor, "subscription.overage_cap", row, before=str(before), after=str(characters))

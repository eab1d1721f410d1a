"""Proofs of identity: begun, gone on with, refused, done, doubted, asked for again, withdrawn, forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.accounts.models import Account
from app.accounts.rules import is_verified
from app.accounts.signals import SignalKind
from app.billing import verification
from app.billing.models import Verification, VerificationMethod, VerificationState
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Invalid, RateLimited
from tests.billing.desk import Desk
from tests.stripe_fake import GOOD_CARD
from tests.world import OPERATOR, actor_of

OTHER_CARD = "5555555555554444"


def _person(desk: Desk) -> Account:
    return desk.world.account(plan="free", verified=False)


def _counts(desk: Desk, account: Account) -> bool:
    fresh = desk.fresh(account)
    return is_verified(fresh.verified_at, fresh.recheck_by, now())


def test_a_person_is_verified_once_stripe_is_content(desk: Desk) -> None:
    account = _person(desk)
    check = desk.start_verification(account)
    desk.stripe.process_identity(check)
    desk.deliver()
    assert not _counts(desk, account)
    assert desk.checks(account)[0].state is VerificationState.PROCESSING
    desk.stripe.verify_identity(check, "Ada", "Lovelace")
    desk.deliver()
    assert _counts(desk, account)
    (row,) = desk.checks(account)
    assert (row.state, row.method, row.external_id) == (VerificationState.VERIFIED, VerificationMethod.STRIPE, check)
    assert desk.mails() == ["verified"]


def test_no_name_is_kept_anywhere(desk: Desk) -> None:
    account = _person(desk)
    desk.verify(account, "Wilhelmina", "Quackenbush")
    desk.deliver()
    assert desk.checks(account)[0].name_digest
    for table in (Verification, AuditEntry, Errand, Account):
        for row in desk.world.rows(select(table)):
            kept = " ".join(str(value) for value in vars(row).values()).lower()
            assert "wilhelmina" not in kept
            assert "quackenbush" not in kept


def test_a_refusal_says_what_to_do_and_the_same_check_goes_on(desk: Desk) -> None:
    account = _person(desk)
    check = desk.start_verification(account)
    desk.stripe.refuse_identity(check, "document_expired")
    desk.deliver()
    (row,) = desk.checks(account)
    assert row.state is VerificationState.REQUIRES_INPUT
    assert verification.problem_words(row.problem) == ("The document is no longer valid. Start again with one that is.")
    assert desk.start_verification(account) == check
    desk.stripe.verify_identity(check, "Ada", "Lovelace")
    desk.deliver()
    assert _counts(desk, account)


@pytest.mark.parametrize("code", [None, "", "something_new"])
def test_an_unknown_problem_has_words_too(code: str | None) -> None:
    assert verification.problem_words(code).startswith("The check did not succeed.")


def test_while_stripe_looks_nothing_new_is_begun(desk: Desk) -> None:
    account = _person(desk)
    desk.stripe.process_identity(desk.start_verification(account))
    with pytest.raises(Invalid, match="being looked at"):
        desk.start_verification(account)


def test_a_check_begins_five_times_a_day(desk: Desk) -> None:
    account = _person(desk)
    for _ in range(verification.STARTS_A_DAY):
        desk.stripe.cancel_identity(desk.start_verification(account))
        desk.deliver()
    with pytest.raises(RateLimited):
        desk.start_verification(account)
    with desk.tools.databases.writing() as session:
        session.execute(update(Verification).values(created_at=now() - timedelta(days=1)))
    assert desk.start_verification(account)


def test_a_start_that_was_cut_off_is_gone_on_with(desk: Desk) -> None:
    account = _person(desk)
    desk.stripe.lose_answers(3)
    with pytest.raises(Exception, match="does not answer"):
        desk.start_verification(account)
    check = desk.start_verification(account)
    assert len(desk.stripe.all("identity.verification_session")) == 1
    assert [row.external_id for row in desk.checks(account)] == [check]


def test_an_event_that_overtakes_the_answer_finds_its_account(desk: Desk) -> None:
    account = _person(desk)
    desk.verify(account)
    with desk.tools.databases.writing() as session:
        session.execute(update(Verification).values(external_id=None))
    desk.deliver()
    assert _counts(desk, account)


def test_somebody_elses_check_proves_nobody_here(desk: Desk) -> None:
    account = _person(desk)
    parts = {"return_url": "https://vouch.test/", "key": "other"}
    for reference in ("another product", str(account.id)):
        begun = desk.gateway.start_verification(reference=reference, **{**parts, "key": reference})
        desk.stripe.verify_identity(begun.id, "Ada", "Lovelace")
    desk.deliver()
    assert not _counts(desk, account)
    assert desk.undone() == []


def test_another_name_than_before_is_for_moderators_to_see(desk: Desk) -> None:
    account = _person(desk)
    desk.verify(account, "Ada", "Lovelace")
    desk.deliver()
    desk.verify(account, "ADA", " Lovelace")
    desk.deliver()
    assert desk.signals(account) == []
    check = desk.verify(account, "Charles", "Babbage")
    desk.deliver()
    assert [(signal.kind, signal.reference) for signal in desk.signals(account)] == [(SignalKind.VERIFICATION, check)]
    assert _counts(desk, account)


def test_another_card_asks_for_a_new_proof_and_leaves_a_week(desk: Desk) -> None:
    account, _ = desk.subscriber()
    assert desk.fresh(account).recheck_by is None, "the first card is no other card"
    desk.stripe.change_card(desk.customer(account), OTHER_CARD)
    desk.deliver()
    wanted = desk.fresh(account).recheck_by
    assert wanted is not None
    assert timedelta() < wanted - now() <= desk.settings.accounts.recheck_grace
    assert _counts(desk, account)
    desk.world.change(account, recheck_by=now())
    assert not _counts(desk, account)
    desk.verify(account)
    desk.deliver()
    assert _counts(desk, account)
    assert desk.fresh(account).recheck_by is None
    desk.stripe.change_card(desk.customer(account), GOOD_CARD)
    desk.deliver()
    assert desk.fresh(account).recheck_by is None, "a card of before is no other card"
    assert desk.mails() == ["plan", "recheck", "verified"]


def test_another_name_of_the_account_counts_at_once(desk: Desk) -> None:
    account = desk.world.account(plan="free", verified=True)
    _rename(desk, account, account.name)
    assert _counts(desk, account)
    _rename(desk, account, "Somebody Else")
    assert not _counts(desk, account)
    with pytest.raises(Invalid):
        _rename(desk, account, " \n ")


def test_a_name_that_changes_in_the_grace_of_a_card_ends_the_grace(desk: Desk) -> None:
    account, _ = desk.subscriber()
    desk.stripe.change_card(desk.customer(account), OTHER_CARD)
    desk.deliver()
    _rename(desk, account, "Somebody Else")
    assert not _counts(desk, account)


def _rename(desk: Desk, account: Account, name: str) -> None:
    with desk.tools.databases.writing() as session:
        fresh = session.get_one(Account, account.id)
        verification.rename_account(session, fresh, name, actor_of(account), desk.settings)


def test_an_old_proof_told_again_proves_nothing_anew(desk: Desk) -> None:
    account = _person(desk)
    check = desk.verify(account)
    desk.deliver()
    _rename(desk, account, "Somebody Else")
    _tell_again(desk, check)
    assert not _counts(desk, account)
    with desk.tools.databases.writing() as session:
        verification.withdraw(session, session.get_one(Account, account.id), "a borrowed passport", OPERATOR)
    _tell_again(desk, check)
    assert desk.fresh(account).verified_at is None


def _tell_again(desk: Desk, check: str) -> None:
    desk.stripe.emit("identity.verification_session.verified", desk.stripe.objects[check])
    desk.deliver()


def test_the_operator_vouches_and_withdraws_with_a_reason(desk: Desk) -> None:
    account = _person(desk)
    with pytest.raises(Invalid), desk.tools.databases.writing() as session:
        verification.vouch_for(session, session.get_one(Account, account.id), "  ", OPERATOR)
    with desk.tools.databases.writing() as session:
        verification.vouch_for(session, session.get_one(Account, account.id), "met in person", OPERATOR)
    assert _counts(desk, account)
    assert desk.checks(account)[0].method is VerificationMethod.OPERATOR
    with desk.tools.databases.writing() as session:
        verification.withdraw(session, session.get_one(Account, account.id), "was a twin", OPERATOR)
    assert not _counts(desk, account)
    with pytest.raises(Invalid, match="not verified"), desk.tools.databases.writing() as session:
        verification.withdraw(session, session.get_one(Account, account.id), "again", OPERATOR)


def test_nobody_is_vouched_for_who_has_not_finished_the_sign_up(desk: Desk) -> None:
    account = _person(desk)
    with desk.tools.databases.writing() as session:
        session.get_one(Account, account.id).email_verified_at = None
    with pytest.raises(Invalid, match="sign-up"), desk.tools.databases.writing() as session:
        verification.vouch_for(session, session.get_one(Account, account.id), "met in person", OPERATOR)
    assert desk.checks(account) == []


def test_stripe_forgets_after_a_month_whatever_came_of_it(desk: Desk) -> None:
    proved, given_up = _person(desk), _person(desk)
    desk.verify(proved)
    left = desk.start_verification(given_up)
    desk.deliver()
    waiting = desk.undone("stripe.call")
    assert len(waiting) == 2
    assert all(timedelta(days=29) < each.due_at - now() <= verification.REDACTED_AFTER for each in waiting)
    desk.due_now()
    desk.work()
    assert {each["redaction"]["status"] for each in desk.stripe.all("identity.verification_session")} == {"processing"}
    assert all(row.redacted_at for row in (*desk.checks(proved), *desk.checks(given_up)))
    desk.deliver()
    assert _counts(desk, proved)
    assert desk.checks(proved)[0].name_digest
    assert desk.checks(given_up)[0].state is VerificationState.CANCELED
    assert desk.start_verification(given_up) != left

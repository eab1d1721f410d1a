"""A newcomer's way to the first clip, as a list on the home page: what is done, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.accounts.rules import Capability, is_verified
from app.accounts.standing import capabilities_of
from app.billing.plans import plan_of
from app.core.db import now
from app.jobs.models import Job, JobState
from app.speech.models import Clip
from app.voices.models import ConsentState, SampleState, Voice, VoiceState


@dataclass(frozen=True)
class Step:
    """One line of the list."""

    label: str
    note: str
    href: str
    words: str
    """What the link to `href` says."""
    state: str
    """done, now (the first that is not done) or waiting."""


def way_of(session: Session, account: Account, voices: Sequence[Voice]) -> list[Step] | None:
    """The steps, from the account's own `voices` (loaded with details).

    None once there is a clip, and for who can't clone. The next step is the first that is not done, though later
    ones may be.
    """
    if Capability.CLONE not in capabilities_of(account) or _has_clip(session, account):
        return None
    voice = _furthest(voices)
    page = f"/voices/{voice.public_id}" if voice else "/voices/new"
    heard = voice is not None and voice.samples[-1].state is SampleState.ACCEPTED
    agreed = voice is not None and any(consent.state is ConsentState.VERIFIED for consent in voice.consents)
    ready = voice is not None and voice.state is VoiceState.READY
    lines = (
        (
            plan_of(account).paid,
            "Choose a plan",
            "Cloned voices come with a paid one.",
            "/account/plan",
            "See the plans",
        ),
        (
            is_verified(account.verified_at, account.recheck_by, now()),
            "Verify who you are",
            "A document and a selfie, two minutes.",
            "/account/identity",
            "Start the check",
        ),
        (heard, "Give a minute of speech", "A file, or recorded here.", page, "Go to the sample"),
        (agreed, "Have the speaker agree", "They read one sentence aloud.", page, "Go to the voice"),
        (
            False,
            "Speak",
            "Any text, in that voice.",
            f"/speak?voice_id={voice.public_id}" if ready and voice else "/speak",
            "Speak",
        ),
    )
    first = next(number for number, line in enumerate(lines) if not line[0])
    return [
        Step(label, note, href, words, "done" if done else "now" if number == first else "waiting")
        for number, (done, label, note, href, words) in enumerate(lines)
    ]


def _furthest(voices: Sequence[Voice]) -> Voice | None:
    """The voice that is nearest to speaking."""
    return max(voices, key=lambda voice: (voice.state is VoiceState.READY, len(voice.consents)), default=None)


def _has_clip(session: Session, account: Account) -> bool:
    query = select(Clip.id).join(Job, Clip.job_id == Job.id)
    return session.scalar(query.where(Clip.account_id == account.id, Job.state == JobState.DONE).limit(1)) is not None

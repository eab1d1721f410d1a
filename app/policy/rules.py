"""Who may clone and who may speak.

Each refusal names its rule, says it to the person, and says what would make it pass.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The outcome of a rule. `rule`, `message` and `fix` are empty when it allows."""

    allowed: bool
    rule: str = ""
    message: str = ""
    fix: str = ""


ALLOWED = Verdict(True)


def _refuse(rule: str, message: str, fix: str) -> Verdict:
    return Verdict(False, rule, message, fix)


@dataclass(frozen=True)
class CloneFacts:
    """What the decision to clone rests on."""

    may_clone: bool
    """The capability that standing and role give."""
    plan_name: str
    plan_paid: bool
    verified: bool
    voices: int
    voice_slots: int


def may_clone(facts: CloneFacts) -> Verdict:
    """Whether an account may make one more voice."""
    if not facts.may_clone:
        return _refuse(
            "clone.standing",
            "This account may not clone voices at the moment.",
            "See its standing on the account page. Moderators need a customer's account for this.",
        )
    if not facts.plan_paid:
        return _refuse("clone.plan", f"The {facts.plan_name} plan has stock voices only.", "Choose a paid plan.")
    if not facts.verified:
        return _refuse(
            "clone.verified",
            "Cloning needs a verified person behind the account, and yours is not verified yet.",
            "Have your identity verified.",
        )
    if facts.voices >= facts.voice_slots:
        return _refuse(
            "clone.slots",
            f"All {facts.voice_slots} voices of the {facts.plan_name} plan are in use.",
            "Delete a voice that you no longer need, or choose a larger plan.",
        )
    return ALLOWED


@dataclass(frozen=True)
class SpeakFacts:
    """What the decision to speak rests on."""

    may_speak: bool
    plan_name: str
    plan_paid: bool
    verified: bool
    cloned: bool
    """Whether the voice is somebody's, not a stock voice."""
    voice_ready: bool
    voice_problem: str
    """Why the voice is not ready, for the person."""
    consent_in_force: bool
    characters: int
    characters_left: int
    open_clips: int
    concurrency: int


def may_speak(facts: SpeakFacts) -> Verdict:
    """Whether a text may be spoken."""
    if not facts.may_speak:
        return _refuse(
            "speak.standing",
            "This account may not make clips at the moment.",
            "See its standing on the account page. Moderators need a customer's account for this.",
        )
    if facts.cloned and not facts.plan_paid:
        return _refuse(
            "speak.plan",
            f"The {facts.plan_name} plan has stock voices only.",
            "Choose a paid plan or a stock voice.",
        )
    if facts.cloned and not facts.verified:
        return _refuse(
            "speak.verified",
            "Cloned voices need a verified person behind the account, and yours is not verified yet.",
            "Have your identity verified.",
        )
    if facts.cloned and not facts.consent_in_force:
        return _refuse(
            "voice_not_verified",
            "This voice has no consent in force, so it can't speak.",
            "Have the speaker read the consent sentence on the voice's page.",
        )
    if not facts.voice_ready:
        return _refuse("voice_not_ready", facts.voice_problem, "Look at the voice's page.")
    if facts.open_clips >= facts.concurrency:
        return _refuse(
            "speak.concurrency",
            f"You have {facts.open_clips} clips under way, the most of the {facts.plan_name} plan.",
            "Wait for one to finish, or cancel one.",
        )
    if facts.characters > facts.characters_left:
        return _refuse(
            "quota_exceeded",
            f"This text has {facts.characters} characters; {max(facts.characters_left, 0)} are left this month.",
            "Shorten the text, wait for the next month, or choose a larger plan.",
        )
    return ALLOWED

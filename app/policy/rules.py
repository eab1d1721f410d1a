"""Who may clone and who may speak.

The first rule that fails decides, in this order: deletion, standing, plan, verification, consent, state of the voice,
format, what runs at once, characters, cap of the key, text. What the person can change least comes first, so that
nobody pays or shows a passport only to hear that the account is banned. The text comes last, so that nobody learns what
the text rules think of a text that they could not have had spoken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from app.policy.findings import Outcome, TextFindings

__all__ = ["CloneFacts", "Flag", "Outcome", "SpeakFacts", "Verdict", "VoiceProblem", "may_clone", "may_speak"]


class Flag(NamedTuple):
    """A text rule that moderators should hear of."""

    rule: str
    title: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says. `rule`, `message` and `fix` are empty unless it refuses; `flags` unless it flags."""

    outcome: Outcome
    rule: str = ""
    """Stable id of the rule that refused."""
    message: str = ""
    """A sentence for the person."""
    fix: str = ""
    """What would make it pass."""
    flags: tuple[Flag, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    packs: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        """Whether it may go on, flagged or not."""
        return self.outcome is not Outcome.REFUSE

    def as_facts(self) -> dict[str, Any]:
        """For `Job.verdict` and the audit: outcome, rules, versions of the packs and the facts; no word of the text."""
        return {
            "outcome": self.outcome.value,
            "rule": self.rule,
            "flags": [flag._asdict() for flag in self.flags],
            "packs": dict(self.packs),
            "facts": dict(self.facts),
        }


class VoiceProblem(StrEnum):
    """Why a voice can't speak."""

    UNFINISHED = "unfinished"
    BEING_MADE = "being_made"
    FAILED = "failed"
    CONSENT = "consent"
    """Disabled because the consent was taken back."""
    PLAN = "plan"
    """Disabled because the plan has no room for it."""
    DECISION = "decision"
    """Disabled by a moderator."""


@dataclass(frozen=True, kw_only=True)
class CloneFacts:
    """What the decision to clone rests on."""

    may_clone: bool
    """The capability that standing and role give."""
    standing: str
    """Name of the standing; says why the capability is missing."""
    closing: bool
    """Whether the holder asked for the account to be deleted."""
    plan_name: str
    plan_paid: bool
    verified: bool
    recheck_due: bool
    """Whether the person was verified before and must be once more; counts only when not verified."""
    voices: int
    voice_slots: int


@dataclass(frozen=True, kw_only=True)
class SpeakFacts:
    """What the decision to speak rests on."""

    may_speak: bool
    """The capability that standing and role give."""
    standing: str
    closing: bool
    plan_name: str
    plan_paid: bool
    verified: bool
    recheck_due: bool
    cloned: bool
    """Whether the voice is somebody's, not a stock voice."""
    consent_in_force: bool
    voice_problem: VoiceProblem | None
    """Why the voice is not ready; None when it is."""
    format_name: str
    format_allowed: bool
    """Whether the plan has the format."""
    open_clips: int
    concurrency: int
    characters: int
    characters_left: int
    key_cap_left: int | None
    """Characters that the key may still spend this month; None without a key or a cap."""
    text: TextFindings | None
    """What the text rules found; None when there is no text yet."""


class _Refusal(NamedTuple):
    rule: str
    message: str
    fix: str


def may_clone(facts: CloneFacts) -> Verdict:
    """Whether an account may make one more voice."""
    return _verdict(
        _standing("clone", facts.may_clone, facts) or _plan("clone", facts) or _person("clone", facts) or _slots(facts),
        facts,
    )


def may_speak(facts: SpeakFacts) -> Verdict:
    """Whether a text may be spoken, and whether moderators should hear of it."""
    refusal = _standing("speak", facts.may_speak, facts)
    if facts.cloned:
        refusal = refusal or _plan("speak", facts) or _person("speak", facts) or _consent(facts)
    refusal = refusal or _voice(facts) or _format(facts) or _at_once(facts) or _characters(facts) or _key_cap(facts)
    return _verdict(refusal or _text(facts), facts, facts.text)


def _verdict(refusal: _Refusal | None, facts: CloneFacts | SpeakFacts, text: TextFindings | None = None) -> Verdict:
    rested_on = {f.name: getattr(facts, f.name) for f in fields(facts)}
    packs = dict(text.packs) if text else {}
    if text is not None:
        rested_on["text"] = [match.as_facts() for match in text.matches]
    if refusal is not None:
        return Verdict(Outcome.REFUSE, *refusal, facts=rested_on, packs=packs)
    flags = tuple(Flag(match.rule, match.title) for match in text.matches) if text else ()
    return Verdict(Outcome.FLAG if flags else Outcome.ALLOW, flags=flags, facts=rested_on, packs=packs)


_DOING = {"clone": "clone voices", "speak": "make clips"}
_FALLEN = {
    "restricted": "This account is restricted, so it may not {doing}.",
    "suspended": "This account is suspended, so it may not {doing} at the moment.",
    "banned": "This account is banned, so it may not {doing}.",
}


def _standing(action: str, capable: bool, facts: CloneFacts | SpeakFacts) -> _Refusal | None:
    doing = _DOING[action]
    if facts.closing:
        return _Refusal(
            f"{action}.closing",
            f"This account is about to be deleted, so it may not {doing}.",
            "Keep the account: the account page takes the deletion back.",
        )
    if not capable and facts.standing in _FALLEN:
        return _Refusal(
            f"{action}.standing",
            _FALLEN[facts.standing].format(doing=doing),
            "The account page says why, and until when.",
        )
    if not capable:
        return _Refusal(
            f"{action}.role",
            f"Only accounts of customers may {doing}.",
            "Use a customer's account for this.",
        )
    return None


def _plan(action: str, facts: CloneFacts | SpeakFacts) -> _Refusal | None:
    if facts.plan_paid:
        return None
    fix = "Choose a paid plan." if action == "clone" else "Choose a paid plan or a stock voice."
    return _Refusal(f"{action}.plan", f"The {facts.plan_name} plan has stock voices only.", fix)


def _person(action: str, facts: CloneFacts | SpeakFacts) -> _Refusal | None:
    if facts.verified:
        return None
    if facts.recheck_due:
        return _Refusal(
            f"{action}.recheck",
            "The card or the name of this account has changed, so we need to see once more who is behind it.",
            "Have your identity verified again.",
        )
    needs = "Cloning needs" if action == "clone" else "Cloned voices need"
    return _Refusal(
        f"{action}.verified",
        f"{needs} a verified person behind the account, and yours is not verified yet.",
        "Have your identity verified.",
    )


def _slots(facts: CloneFacts) -> _Refusal | None:
    if facts.voices < facts.voice_slots:
        return None
    return _Refusal(
        "clone.slots",
        f"All {facts.voice_slots} voices of the {facts.plan_name} plan are in use.",
        "Delete a voice that you no longer need, or choose a larger plan.",
    )


def _consent(facts: SpeakFacts) -> _Refusal | None:
    if facts.consent_in_force:
        return None
    return _Refusal(
        "voice_not_verified",
        "This voice has no consent in force, so it can't speak.",
        "Have the speaker read the consent sentence on the voice's page.",
    )


_LOOK = "Look at the voice's page."
_VOICE = {
    VoiceProblem.UNFINISHED: _Refusal("voice_not_ready", "This voice is not finished yet.", _LOOK),
    VoiceProblem.BEING_MADE: _Refusal(
        "voice_not_ready", "This voice is being made; it will be ready in a moment.", "Wait a moment, then try again."
    ),
    VoiceProblem.FAILED: _Refusal("voice_not_ready", "Making this voice has failed.", _LOOK),
    VoiceProblem.CONSENT: _Refusal(
        "voice_not_ready", "This voice waits for its speaker's consent.", "Have the speaker read the consent sentence."
    ),
    VoiceProblem.PLAN: _Refusal(
        "voice_over_plan",
        "This voice is switched off, because the plan has no room for it. Nothing of it is lost.",
        "Choose a larger plan, or delete a voice that you no longer need.",
    ),
    VoiceProblem.DECISION: _Refusal(
        "voice_disabled", "A moderator has switched this voice off.", "The voice's page says why."
    ),
}


def _voice(facts: SpeakFacts) -> _Refusal | None:
    return None if facts.voice_problem is None else _VOICE[facts.voice_problem]


def _format(facts: SpeakFacts) -> _Refusal | None:
    if facts.format_allowed:
        return None
    return _Refusal(
        "speak.format",
        f"The {facts.plan_name} plan does not have the format {facts.format_name}.",
        "Choose another format, such as mp3_44100_128, or a larger plan.",
    )


def _at_once(facts: SpeakFacts) -> _Refusal | None:
    if facts.open_clips < facts.concurrency:
        return None
    return _Refusal(
        "speak.concurrency",
        f"You have {facts.open_clips} clip{'' if facts.open_clips == 1 else 's'} under way, the most of the "
        f"{facts.plan_name} plan.",
        "Wait for one to finish, or cancel one.",
    )


def _characters(facts: SpeakFacts) -> _Refusal | None:
    if facts.characters <= facts.characters_left:
        return None
    return _Refusal(
        "quota_exceeded",
        f"This text has {facts.characters:,} characters; {max(facts.characters_left, 0):,} are left this month.",
        "Shorten the text, wait for the next month, or choose a larger plan.",
    )


def _key_cap(facts: SpeakFacts) -> _Refusal | None:
    if facts.key_cap_left is None or facts.characters <= facts.key_cap_left:
        return None
    return _Refusal(
        "speak.key_cap",
        f"This text has {facts.characters:,} characters; this key has {max(facts.key_cap_left, 0):,} left this month.",
        "Shorten the text, wait for the next month, or make a key with a higher limit on the page of your keys.",
    )


def _text(facts: SpeakFacts) -> _Refusal | None:
    found = facts.text.refusal if facts.text else None
    if found is None:
        return None
    return _Refusal(f"text.{found.rule}", f"{found.why} It is about these words: “{found.words}”.", found.fix)

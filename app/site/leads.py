"""Where a refusal leads: the page on which its reason can be seen to."""

from __future__ import annotations

_PLAN = ("/account/plan", "See the plans")
_IDENTITY = ("/account/identity", "Verify your identity")
_RECHECK = ("/account/identity", "Verify your identity again")
_STANDING = ("/account", "See your account")
_KEEP = ("/account/data", "Keep the account")
_LEADS = {
    "account.standing": _STANDING,
    "clone.closing": _KEEP,
    "clone.plan": _PLAN,
    "clone.recheck": _RECHECK,
    "clone.slots": _PLAN,
    "clone.standing": _STANDING,
    "clone.verified": _IDENTITY,
    "quota_exceeded": _PLAN,
    "speak.closing": _KEEP,
    "speak.concurrency": ("/history", "See your clips"),
    "speak.format": _PLAN,
    "speak.key_cap": ("/account/keys", "See your keys"),
    "speak.plan": _PLAN,
    "speak.recheck": _RECHECK,
    "speak.standing": _STANDING,
    "speak.verified": _IDENTITY,
    "voice_over_plan": _PLAN,
}
_OF_THE_VOICE = ("voice_disabled", "voice_not_ready", "voice_not_verified")


def lead_of(rule: str, voice_id: str | None = None) -> dict[str, str] | None:
    """The link of a refusal by `rule`, which may be about a voice (its public id); None where no page helps."""
    if rule in _OF_THE_VOICE and voice_id:
        return {"href": f"/voices/{voice_id}", "words": "See the voice"}
    found = _LEADS.get(rule)
    return {"href": found[0], "words": found[1]} if found else None

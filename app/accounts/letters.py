"""The mails about an account: what they say. They hold no text that a stranger could have chosen, such as a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.accounts import links
from app.accounts.devices import device
from app.accounts.models import TokenPurpose
from app.settings import Settings


class Letter(NamedTuple):
    """Subject and plain text of a mail."""

    subject: str
    text: str


def confirm_address(settings: Settings, token: str) -> Letter:
    """To a new account: the link that proves the address."""
    link = links.address(settings, TokenPurpose.VERIFY_EMAIL, token)
    return _letter(
        settings,
        "Finish your sign-up",
        "Somebody, probably you, has signed up with this address. To finish, open this link and type the password that "
        "you chose:",
        link,
        f"The link works once, within {_span(settings.accounts.link_lifetime)}. If it was not you, do nothing: without "
        "the link and the password the sign-up is forgotten after a week.",
    )


def already_known(settings: Settings) -> Letter:
    """To the holder of an account that somebody tried to sign up for again."""
    return _letter(
        settings,
        "You have an account already",
        "Somebody, probably you, has tried to sign up with this address. There is an account for it already, so "
        "nothing was changed. Sign in here:",
        f"{settings.public_url}/login",
        "If you no longer know your password, you can choose a new one here:",
        f"{settings.public_url}/password/forgotten",
        "If it was not you, there is nothing to do.",
    )


def new_password(settings: Settings, token: str) -> Letter:
    """To somebody who has asked for a new password: the link."""
    link = links.address(settings, TokenPurpose.RESET_PASSWORD, token)
    return _letter(
        settings,
        "Choose a new password",
        "Somebody, probably you, has asked for a new password for this account. To choose one, open this link:",
        link,
        f"The link works once, within {_span(settings.accounts.reset_lifetime)}, and only the newest one works. If it "
        "was not you, do nothing: your password stays as it is.",
    )


def password_changed(settings: Settings) -> Letter:
    """To the holder, after the password was replaced."""
    return security_changed(
        settings,
        "Your password was changed",
        "The password of your account was changed just now. Every other browser was signed out. API keys go on "
        "working: revoke those that you have not made.",
    )


def security_changed(settings: Settings, subject: str, what: str) -> Letter:
    """To the holder, after something that keeps the account safe was changed; `what` says what, in a sentence."""
    return _letter(
        settings,
        subject,
        what,
        "If it was not you, choose a new password at once:",
        f"{settings.public_url}/password/forgotten",
        f"and tell {settings.contact}.",
    )


def confirm_new_address(settings: Settings, token: str) -> Letter:
    """To an address that an account wants to move to: the link."""
    link = links.address(settings, TokenPurpose.CHANGE_EMAIL, token)
    return _letter(
        settings,
        "Confirm your new address",
        "Somebody, probably you, wants to use this address for their account. To confirm it, open this link in a "
        "browser in which you are signed in:",
        link,
        f"The link works once, within {_span(settings.accounts.link_lifetime)}. If it was not you, do nothing.",
    )


def address_change_asked(settings: Settings) -> Letter:
    """To the old address, when a change was asked for."""
    return security_changed(
        settings,
        "Somebody wants to change your address",
        "Somebody who is signed in to your account has asked to change its e-mail address. It stays as it is until a "
        "link sent to the new address is used.",
    )


def address_changed(settings: Settings) -> Letter:
    """To the old address, after the change: from here on it can't reset anything, so a person has to help."""
    return _letter(
        settings,
        "The address of your account was changed",
        "Your account now has another e-mail address, and this one no longer belongs to it.",
        f"If it was not you, tell {settings.contact} at once.",
    )


def new_browser(settings: Settings, user_agent: str, address: str, at: datetime) -> Letter:
    """To the holder, after a sign-in from a browser that the account was never used in."""
    where = f", from the network address {address}" if address else ""
    return security_changed(
        settings,
        "A new browser has signed in",
        f"On {at:%d %b %Y at %H:%M} UTC somebody signed in to your account with {_the(device(user_agent))}{where}. "
        "If it was you, there is nothing to do.",
    )


def recovery_code_used(settings: Settings, left: int) -> Letter:
    """To the holder, after a recovery code was used; `left` is how many there are still."""
    rest = f"You have {left} left." if left > 3 else f"You have only {left} left: make new ones on your security page."
    return security_changed(
        settings,
        "A recovery code was used",
        f"Somebody, probably you, has just used one of your recovery codes. Each works once. {rest}",
    )


def wrong_codes(settings: Settings, tries: int) -> Letter:
    """To the holder, when somebody who knows the password could not do the second step."""
    return security_changed(
        settings,
        "Somebody could not finish signing in",
        f"Somebody typed the right password of your account, but then a wrong code {tries} times. They did not get "
        "in. If it was you, there is nothing to do; you can sign in again with the code that your app shows.",
    )


def second_factor_changed(settings: Settings, what: str) -> Letter:
    """To the holder, after an authenticator app or a passkey was added or removed; `what` says which."""
    return security_changed(settings, "The second step of your sign-in was changed", what)


def keys_leaked(settings: Settings, prefixes: Sequence[str]) -> Letter:
    """To the owner of API keys that somebody found in public; `prefixes` are what the keys begin with."""
    return _letter(
        settings,
        "An API key of yours was found in public",
        "Somebody found API keys of your account where others can read them, and reported them. To protect your "
        "account they were switched off at once. They begin with:",
        "\n".join(f"{prefix}..." for prefix in prefixes),
        "Programs that used them no longer work. Make a new key for each here:",
        f"{settings.public_url}/account/keys",
        "Take the old ones out of the place where they can be read, and look through your history for clips that you "
        f"did not make. If there are any, tell {settings.contact}.",
    )


def _letter(settings: Settings, subject: str, *paragraphs: str) -> Letter:
    name = settings.voices.service_name
    sign_off = f"{name}, {settings.public_url}\nQuestions: {settings.contact}"
    return Letter(f"{name}: {subject}", "\n\n".join((*paragraphs, sign_off)) + "\n")


def _the(words: str) -> str:
    return words[0].lower() + words[1:] if words.startswith("A ") else words


def _span(time: timedelta) -> str:
    """A time in the largest unit that fits."""
    seconds = int(time.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = seconds // size
        if count >= (2 if unit == "day" else 1):
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"

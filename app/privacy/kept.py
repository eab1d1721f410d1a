"""What is kept about people, why, and how long: one list for the page and docs/privacy.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.accounts import browsers, links
from app.accounts.registration import UNPROVED_KEPT
from app.provenance.detection.service import ASKER_KEPT, WAITS_AT_MOST
from app.settings import Settings

WITH_ACCOUNT = "until the account is deleted"
FOR_GOOD = "for good"


@dataclass(frozen=True)
class DataClass:
    """One kind of data."""

    name: str
    what: str
    why: str
    how_long: str
    setting: str | None = None
    """The field of settings.retention that says how long."""


def classes(settings: Settings) -> list[DataClass]:
    """All kinds, as these settings keep them."""
    times = settings.retention
    samples = f"rejected ones {_span(times.rejected_samples)}, others until the voice is deleted"
    return [
        DataClass("Account", "Name, address, password hash, second factors, plan", "To run it", WITH_ACCOUNT),
        DataClass(
            "Deletion asked for",
            "The account as it is",
            "So that it can be undone",
            _span(times.deletion_grace),
            "deletion_grace",
        ),
        DataClass(
            "Log-in history",
            "Time, network address and browser of sign-ins and sessions",
            "To notice others in your account",
            _span(times.login_history),
            "login_history",
        ),
        DataClass("Failed log-ins", "Counters without a name", "To stop guessing", "1 day"),
        DataClass("One-time links", "Digests of links in mails", "To use each once", _span(links.KEPT)),
        DataClass(
            "Known browsers", "Digests of cookies", "To tell you of strange ones", f"{_span(browsers.LIFETIME)} unused"
        ),
        DataClass("Unfinished sign-ups", "Name and address", "To finish them", _span(UNPROVED_KEPT)),
        DataClass("Samples", "Recordings of a voice", "To make the voice", samples, "rejected_samples"),
        DataClass("Voiceprints", "What makes a voice recognisable", "To make the voice", "until the voice is deleted"),
        DataClass(
            "Consents",
            "Name, sentence and recording of the speaker",
            "To show that the speaker agreed",
            f"failed ones {_span(times.rejected_samples)}, others {WITH_ACCOUNT}",
        ),
        DataClass("Clips", "Text and audio", "For your history", WITH_ACCOUNT),
        DataClass(
            "Proofs of origin",
            "Mark, salted digest of the text, fingerprint of each file",
            "To trace audio, and to say what is not ours",
            FOR_GOOD,
        ),
        DataClass("Usage", "Characters spoken, by clip", "To bill, and to show it", FOR_GOOD),
        DataClass("Record of acts", "Who did what, by number", "To answer for decisions", FOR_GOOD),
        DataClass(
            "Payments",
            "Number of the customer, fingerprints of cards",
            "To bill, and to know banned people",
            "until the account is deleted; cards of banned people stay",
        ),
        DataClass("Identity", "That and when it was proved, digest of the name", "To notice a change", WITH_ACCOUNT),
        DataClass(
            "Mails and calls",
            "That they were sent; their text goes when they are",
            "To send each once",
            _span(times.errands),
            "errands",
        ),
        DataClass("Copies of your data", "Archives you asked for", "To fetch them", _span(times.exports), "exports"),
        DataClass(
            "Traced files",
            "Audio that moderators looked up, and evidence bundles made of it",
            "To look again when somebody objects",
            _span(times.trace_files),
            "trace_files",
        ),
        DataClass(
            "Files checked by the public",
            "A file somebody asked about without an account",
            "To look for our mark in it",
            f"until it is answered, at most {_span(WAITS_AT_MOST)}",
        ),
        DataClass(
            "Who had a file checked", "Keyed digest of the network", "To count by, against misuse", _span(ASKER_KEPT)
        ),
        DataClass("Answers to the public", "Digest of the file, answer, receipt", "To give one answer", FOR_GOOD),
        DataClass(
            "Left-over files",
            "Files that nothing needs",
            "Work that was cut off leaves some behind",
            _span(times.orphans),
            "orphans",
        ),
    ]


def table(settings: Settings) -> str:
    """The list as a table in Markdown."""
    head = "| Data | What | Why | How long | Setting |\n|---|---|---|---|---|\n"
    lines = [
        f"| {each.name} | {each.what} | {each.why} | {each.how_long} | {f'`{each.setting}`' if each.setting else ''} |"
        for each in classes(settings)
    ]
    return head + "\n".join(lines) + "\n"


def _span(time: timedelta) -> str:
    days = round(time / timedelta(days=1), 1)
    return f"{days:g} day{'s' if days != 1 else ''}"

"""Voices, clips and traces in every state that a page can show, made by the services that make them in life."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import httpx2

from app.accounts import keys
from app.accounts.key_models import KeyEnd, Scope
from app.accounts.models import Account, Role
from app.core.audit import Actor
from app.core.db import now
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind
from app.jobs.service import Claim
from app.provenance.detection import service as detection
from app.provenance.findings import Matched
from app.provenance.models import TraceQuery, Verdict
from app.provenance.service import TraceFindings, answer_trace, ask_for_trace
from app.speech.models import Clip, Generation
from app.voices.models import Consent, Sample, Voice, VoiceState
from app.voices.results import SampleFindings, sample_checking
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.pages.gallery_accounts import gather, outside, tools_of
from tests.world import OPERATOR, World, upload
from workers.trace import public

SCRIPT = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
ODD_NAME = "Zoë 🦆 \u202eevil\u202c " + "長" * 200
CHECK = {
    "code": "sample.speech_length",
    "label": "Length of speech",
    "value": 5.2,
    "unit": "s",
    "requirement": "30 to 180 s",
    "passed": False,
    "sentence": "There are 5 seconds of speech; 30 are needed. Please record more.",
}
BAD_SAMPLE = SampleFindings(
    [CHECK, {**CHECK, "unit": "Hz", "value": 5000, "passed": True}],
    [{"code": CHECK["code"], "message": CHECK["sentence"]}],
    {},
    5.2,
    [0.2, 0.9],
    None,
)


ACCOUNT = ("/account", "/account/data")
SECURITY = ("/account/security", "/account/security/app", "/account/confirm")


@dataclass
class Gallery:
    """Where to look, and what must be there."""

    service: Service
    owner: Visitor
    moderator: Visitor
    shown: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name of a state to its page and to words on it; pages of the console start with /console."""
    people: dict[str, Visitor] = field(default_factory=dict)
    """Who else looks at pages: those whose address has their name as its fragment."""

    def paths(self) -> list[str]:
        """Every page, those of states and those that are always there."""
        fixed = ["/", "/voices/new", "/speak", "/history", *ACCOUNT, *SECURITY, "/console/consents", "/console/trace"]
        return [*fixed, *(path for path, _ in self.shown.values())]

    @cached_property
    def pages(self) -> dict[str, tuple[httpx2.Response, Page]]:
        """Every page, read once: nobody changes anything here."""
        answers = {path: self.viewer(path).get(path) for path in self.paths()}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {path: (answer, Page.read(answer.text)) for path, answer in answers.items()}

    @cached_property
    def outside(self) -> dict[str, tuple[httpx2.Response, Page]]:
        """The pages of people without an account, by name."""
        return outside(self.service)

    def close(self) -> None:
        """Close everybody's browser."""
        for person in (self.owner, self.moderator, *self.people.values()):
            person.client.close()

    def viewer(self, path: str) -> Visitor:
        """Who may see a page."""
        name = path.partition("#")[2]
        return self.people[name] if name else self.moderator if path.startswith("/console") else self.owner


def furnish(service: Service) -> Gallery:
    """Fill an empty service."""
    world = service.world
    made = [world.newcomer(role=role, plan="studio") for role in (Role.CUSTOMER, Role.MODERATOR)]
    owner, moderator = (Visitor.of(service, each) for each in made)
    gallery = Gallery(service, owner, moderator)
    _samples(gallery, world, owner.account)
    _consents(gallery, world, owner.account)
    _voices(gallery, world, owner.account)
    voice = world.voice(owner.account)
    _clips(gallery, world, owner.account, voice)
    _traces(gallery, world, moderator.account)
    _keys(gallery, world, owner.account)
    _detections(gallery, world)
    crowd = gather(service)
    gallery.people.update(crowd.people)
    gallery.shown.update(crowd.shown)
    return gallery


def _keys(gallery: Gallery, world: World, owner: Account) -> None:
    """One key with every limit, one that is being replaced, and one of each end."""
    actor = Actor("account", str(owner.id))
    limits = keys.Terms(frozenset({Scope.READ}), 50, ("203.0.113.0/24", "2001:db8::/32"), now() + timedelta(days=9))
    with world.databases.writing() as session:
        account = session.get_one(Account, owner.id)
        keys.create_key(session, account, ODD_NAME, actor, limits)
        replaced, _ = keys.create_key(session, account, SCRIPT, actor)
        keys.rotate_key(session, account, replaced.id, actor, grace=keys.ROTATION_GRACE)
        for end in KeyEnd:
            ended, _ = keys.create_key(session, account, f"{end.value} {SCRIPT}", actor)
            ended.revoked_at, ended.ended_for = now(), end
        expired, _ = keys.create_key(session, account, "expired", actor)
        expired.expires_at = now()
    gallery.shown["keys"] = ("/account/keys", "Somebody found it in a public place, so it was switched off.")
    gallery.shown["new key"] = ("/account/keys/new", "Where may it be used from?")


def _show(gallery: Gallery, state: str, voice: Voice, words: str) -> None:
    gallery.shown[f"voice {state}"] = (f"/voices/{voice.public_id}", words)


def _samples(gallery: Gallery, world: World, owner: Account) -> None:
    received = world.start_voice(owner)
    world.take(JobKind.INTAKE)  # a worker has it and has not begun
    _show(gallery, "received", received, "Your sample is waiting for its check.")
    checking = world.start_voice(owner, SCRIPT)
    claim = world.take(JobKind.INTAKE)
    with world.databases.writing() as session:
        jobs.report(session, claim, 0.3, "listening to the recordings")
        sample_checking(session, session.get_one(Sample, claim.subject_id))
    _show(gallery, "checking", checking, "Listening to your sample")
    rejected = world.start_voice(owner, ODD_NAME)
    world.judge_sample(world.take(JobKind.INTAKE), BAD_SAMPLE)
    _show(gallery, "rejected", rejected, "There are 5 seconds of speech; 30 are needed.")
    _show(gallery, "accepted", world.voice(owner, VoiceState.DRAFT), "Whose voice is it?")


def _consents(gallery: Gallery, world: World, owner: Account) -> None:
    drafts = {state: world.voice(owner, VoiceState.DRAFT) for state in _CONSENT_WORDS}
    for state, voice in drafts.items():
        _show(gallery, f"consent {state}", voice, _CONSENT_WORDS[state])
    world.ask(drafts["pending"], SCRIPT)
    with world.databases.writing() as session:
        asked = world.ask(drafts["expired"])
        session.get_one(Consent, asked.id).expires_at = now() - timedelta(seconds=1)
    world.ask(drafts["checking"])
    world.submit(drafts["checking"])
    world.take(JobKind.CONSENT)
    world.ask(drafts["failed"])
    world.submit(drafts["failed"])
    world.hear(world.take(JobKind.CONSENT), speaker="refuse")
    world.decide(world.consent_in_review(drafts["refused"]), approve=False, reason="Another person was reading.")
    waiting = world.consent_in_review(drafts["in review"])
    gallery.shown["console consent"] = (f"/console/consents/{waiting.public_id}", "Is this the person in the sample")
    world.ask(drafts["verified, gate closed"])
    world.submit(drafts["verified, gate closed"])
    world.change(owner, plan="free")  # cancelled, or not paid, while the recording waited
    world.hear(world.take(JobKind.CONSENT))
    world.change(owner, plan="studio")
    settled = world.consent_in_review(drafts["verified"])
    world.decide(settled, approve=True, reason="I heard her say yes.")
    world.take(JobKind.CLONE)
    gallery.shown["console consent settled"] = (f"/console/consents/{settled.public_id}", "I heard her say yes.")


_CONSENT_WORDS = {
    "pending": "Please read this aloud",
    "expired": "The time for this sentence has run out.",
    "checking": "Listening to the sentence, and comparing the two voices.",
    "failed": "This is not the voice of the sample.",
    "in review": "a person listens to both recordings",
    "refused": "Another person was reading.",
    "verified, gate closed": "plan",
    "verified": "Matching the voice.",
}


def _voices(gallery: Gallery, world: World, owner: Account) -> None:
    cloning = world.voice(owner, VoiceState.CLONING)
    world.take(JobKind.CLONE)
    _show(gallery, "cloning", cloning, "Matching the voice. Then you can hear it.")
    _show(gallery, "failed", world.voice(owner, VoiceState.FAILED), "The voice could not be made")
    _show(gallery, "ready, silent so far", world.voice(owner), "Nothing has been spoken in this voice yet.")
    _show(gallery, "disabled, consent revoked", world.voice(owner, VoiceState.DISABLED), "Consent was withdrawn")
    stopped = world.voice(owner, VoiceState.CLONING)
    with world.databases.writing() as session:
        for job in jobs.open_jobs(session, subject_id=stopped.id):
            jobs.cancel(session, job, OPERATOR)
    _show(gallery, "disabled, cloning cancelled", stopped, "Whose voice is it?")


def _clips(gallery: Gallery, world: World, owner: Account, voice: Voice) -> None:
    def show(state: str, clip: Clip, words: str) -> None:
        gallery.shown[f"clip {state}"] = (f"/clips/{clip.public_id}", words)

    show("done", world.speak(owner, voice, f"Hello {SCRIPT}"), "The clip is ready.")
    world.deliver(world.take(JobKind.SPEAK))
    _show(gallery, "ready", voice, "Hear it")
    show("failed", world.speak(owner, voice), "The engine broke.")
    world.fail(world.take(JobKind.SPEAK), retry=False, message="The engine broke.")
    refused = world.speak(owner, voice)
    claim = world.take(JobKind.SPEAK)
    with world.databases.writing() as session:
        jobs.refuse(session, claim, "voice.no_consent", "There is no consent in force.")
    show("refused", refused, "There is no consent in force.")
    cancelled = world.speak(owner, voice)
    with world.databases.writing() as session:
        jobs.cancel(session, session.get_one(Job, cancelled.job_id), OPERATOR)
    show("cancelled", cancelled, "Nothing was made and nothing is charged.")
    show("running", world.speak(owner, voice), "Speaking")
    _report(world, world.take(JobKind.SPEAK), "speaking")
    show("queued", world.speak(owner, voice), "Waiting for a worker.")


def _report(world: World, claim: Claim, step: str) -> None:
    with world.databases.writing() as session:
        jobs.report(session, claim, 0.4, step)


_TRACE_WORDS = {
    Verdict.CONFIRMED: "Made here",
    Verdict.STRONG: "Very likely made here",
    Verdict.LEAD: "A lead, not enough to name anybody",
    Verdict.AMBIGUOUS: "More than one clip fits",
    Verdict.NO_EVIDENCE: "No evidence that it was made here",
}


_PLACE: Matched = {
    "query_from": 0.4,
    "query_to": 4.6,
    "original_from": 0.1,
    "original_to": 0.9,
    "speed": 1.05,
    "pitch": 1.0,
}


def _traces(gallery: Gallery, world: World, moderator: Account) -> None:
    (generation,) = world.rows(Generation.__table__.select().with_only_columns(Generation.id))
    for verdict, words in _TRACE_WORDS.items():
        query = _ask(world, moderator, f"{verdict.value} {SCRIPT}.mp3")
        claim = world.take(JobKind.TRACE)
        evidence: list[dict[str, Any]] = [
            {"channel": "credentials", "state": "none", "sentence": "The file has no content credentials."},
            {"channel": "mark", "errors": 12, "sentence": "116 of the 128 bits agree."},
            {"channel": "fingerprint", "agreement": 0.83, "sentence": "The sound is that of one clip."},
            {
                "channel": "words",
                "share": 0.9,
                "sentence": "9 words in a row are those that one clip was asked to say.",
            },
        ]
        drawn = [0.1, 0.5, 0.8, 0.3, 0.6] * 24
        clean = f"traces/{query.id}/clean.flac"
        findings = TraceFindings(verdict, generation, evidence, 1e-12, 5.0, drawn, clean, _PLACE)
        with world.databases.writing() as session:
            jobs.finish(session, claim)
            answer_trace(session, session.get_one(TraceQuery, query.id), findings)
        gallery.shown[f"console trace {verdict.value}"] = (f"/console/trace/{query.public_id}", words)
    failed = _ask(world, moderator, "broken.mp3")
    world.fail(world.take(JobKind.TRACE), retry=False, message="This is not an audio file.")
    gallery.shown["console trace failed"] = (f"/console/trace/{failed.public_id}", "This is not an audio file.")
    waiting = _ask(world, moderator, "waiting.mp3")
    world.take(JobKind.TRACE)
    gallery.shown["console trace waiting"] = (f"/console/trace/{waiting.public_id}", "Reason: A listener asked.")


_ANSWERS = {
    "made here": (Verdict.CONFIRMED, "What was made here is synthetic speech"),
    "not found": (Verdict.NO_EVIDENCE, "That does not mean that a person spoke"),
    "can't tell": (Verdict.LEAD, "There is too little to go by"),
}


def _detections(gallery: Gallery, world: World) -> None:
    """What anybody asked, in every state."""

    def ask(state: str, words: str) -> None:
        with world.databases.writing() as session:
            asked = detection.ask(session, upload(), asked_from="0" * 64, settings=world.settings)
        gallery.shown[f"detection {state}"] = (f"/detect/{asked.detection.public_id}", words)

    with tools_of(gallery.service) as tools:
        for state, (verdict, words) in _ANSWERS.items():
            ask(state, words)
            claim = world.take(JobKind.TRACE)
            with world.databases.writing() as session:
                jobs.finish(session, claim)
                query = session.get_one(TraceQuery, claim.subject_id)
                public.answer(session, query, TraceFindings(verdict, None, [], 1.0, 5.0, [], ""), 5.0, tools)
    ask("failed", "This is not an audio file.")
    world.fail(world.take(JobKind.TRACE), retry=False, message="This is not an audio file.")
    ask("waiting", "Listening for our mark.")
    world.take(JobKind.TRACE)


def _ask(world: World, moderator: Account, name: str) -> TraceQuery:
    actor = Actor("account", str(moderator.id))
    with world.databases.writing() as session:
        return ask_for_trace(session, upload(name), asked_by=actor, reason="A listener asked.")

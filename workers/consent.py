"""A recording of the consent sentence: what was said, and whether the sample's speaker said it."""

from __future__ import annotations

from app.jobs import service as jobs
from app.voices import results
from app.voices.models import Consent, Sample
from app.voices.results import ConsentFindings
from app.voices.rules import Reading
from workers.audio.decode import AudioRejected, Decoded
from workers.audio.peaks import peaks
from workers.audio.resample import resample
from workers.audio.speakers import ACCEPT, match, voiceprint
from workers.audio.vad import cut, speech_segments
from workers.intake import voiceprint_of
from workers.own_clips import SAYS, made_here
from workers.recordings import cleaned, decoded, keep
from workers.runtime import Held, JobFailure, each
from workers.tools import Tools

LONGEST_SECONDS = 90.0
SHORTEST_SPEECH = 3.0  # seconds; less than that gives no trustworthy comparison of voices


def work(held: Held, tools: Tools) -> None:
    """Settle one consent."""
    held.report(0.1, "reading the recording")
    consent, sample = _load(held, tools)
    try:
        recording = _decode(consent, tools)
    except AudioRejected as rejected:
        findings = ConsentFindings(None, {}, [], None, {"code": rejected.code, "message": rejected.message})
    else:
        findings = _hear(held, tools, consent, sample, recording)
    with tools.databases.writing() as session:
        jobs.finish(session, held.claim)
        results.consent_heard(
            session,
            session.get_one(Consent, consent.id),
            findings,
            speech_queue=tools.settings.jobs.speech_queue,
        )


handle = each(work)


def _load(held: Held, tools: Tools) -> tuple[Consent, Sample]:
    with tools.databases.reading() as session:
        consent = session.get_one(Consent, held.claim.subject_id)
        sample = session.get(Sample, consent.sample_id) if consent.sample_id is not None else None
    if sample is None:
        raise JobFailure("consent.no_sample", "There is no accepted sample to compare the recording with.")
    return consent, sample


def _decode(consent: Consent, tools: Tools) -> Decoded:
    if consent.recording_key is None:
        raise JobFailure("consent.no_recording", "The recording of the sentence is missing.")
    return decoded(consent.recording_key, LONGEST_SECONDS, tools)


def _hear(held: Held, tools: Tools, consent: Consent, sample: Sample, recording: Decoded) -> ConsentFindings:
    heard = resample(recording.pcm, recording.sample_rate, 16_000)
    drawn = peaks(heard)
    key = f"consents/{consent.id}/clean.flac"
    keep(key, cleaned([recording]), tools)
    copied = made_here(recording.pcm, recording.sample_rate, tools)
    if copied is not None:
        return ConsentFindings(None, {}, drawn, key, {"code": "consent.made_here", "message": SAYS}, copied)
    speech = cut(heard, speech_segments(heard))
    seconds = len(speech) / 16_000
    if seconds < SHORTEST_SPEECH:
        message = f"We heard only {seconds:.1f} seconds of speech. Read the whole sentence, close to the microphone."
        return ConsentFindings(None, {}, drawn, key, {"code": "consent.too_short", "message": message})
    held.report(0.3, "understanding the words")
    transcript = tools.transcriber.transcribe(heard, language=consent.language)
    held.report(0.8, "comparing the voices")
    own = voiceprint(heard)
    if own is None:
        raise JobFailure("consent.no_speech", "There is no speech in the recording.")
    likeness = match(voiceprint_of(sample, tools), own)
    reading = Reading(transcript.text, likeness.score, likeness.outcome.value)
    scores = {
        "similarity_needed": ACCEPT,
        "d_vector": round(likeness.dvector, 3),
        "resemblyzer": round(likeness.resemblyzer, 3),
        "speech_seconds": round(seconds, 1),
    }
    return ConsentFindings(reading, scores, drawn, key)

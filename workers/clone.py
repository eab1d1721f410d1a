"""A voice from an accepted sample and a consent in force."""

from __future__ import annotations

from app.jobs import service as jobs
from app.voices import consents, results
from app.voices.models import Sample, Voice
from workers.audio.resample import resample
from workers.engines.base import EngineError, VoiceSample
from workers.intake import voiceprint_of
from workers.recordings import decoded
from workers.runtime import Held, JobFailure, each
from workers.tools import Tools

_LONGEST_SECONDS = 1_000.0  # no accepted sample is as long


def work(held: Held, tools: Tools) -> None:
    """Prepare one voice."""
    held.report(0.05, "loading the voice engine")
    voice, sample = _load(held, tools)
    engine = tools.engine
    held.report(0.2, "matching the voice")
    try:
        artefact = engine.prepare_voice(_voice_sample(voice, sample, tools), lambda _: held.check())
    except EngineError as error:
        raise JobFailure("clone.engine", str(error)) from error
    key = f"voices/{voice.id}/{held.claim.job_id}-{held.claim.fence}.npz"  # no other try of any job writes there
    tools.storage.put(key, artefact)
    with tools.databases.writing() as session:
        jobs.finish(session, held.claim)
        name = f"{engine.info.id}/{engine.info.version}"
        results.voice_made(session, session.get_one(Voice, voice.id), engine=name, artefact_key=key)
    if voice.artefact_key is not None:  # from before its consent was revoked; deleting the voice would miss it
        tools.storage.delete(voice.artefact_key)


handle = each(work)


def _load(held: Held, tools: Tools) -> tuple[Voice, Sample]:
    with tools.databases.reading() as session:
        voice = session.get_one(Voice, held.claim.subject_id)
        sample = consents.consented_sample(session, voice)
    if sample is None or sample.audio_key is None:
        raise JobFailure("clone.no_sample", "There is no sample with consent to clone from.")
    return voice, sample


def _voice_sample(voice: Voice, sample: Sample, tools: Tools) -> VoiceSample:
    assert sample.audio_key is not None  # checked by _load
    speech = decoded(sample.audio_key, _LONGEST_SECONDS, tools)
    print_ = voiceprint_of(sample, tools)
    return VoiceSample(
        pcm16k=resample(speech.pcm, speech.sample_rate, 16_000),
        embeddings={"d-vector": print_.dvector, "resemblyzer": print_.resemblyzer},
        f0_median=sample.measures["f0_median"],
        f0_log_sd=sample.measures["f0_log_sd"],
        rate=sample.measures["rate"],
        language=voice.language,
    )

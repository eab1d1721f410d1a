"""Clips: the ledger row first, then the speech, then the stamp. Several requests run in one call of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.jobs import service as jobs
from app.provenance.ledger.leaves import want
from app.provenance.ledger.models import LeafKind
from app.provenance.service import write_stamp
from app.speech.models import Clip, Generation
from app.speech.service import charge_for, commit_generation
from app.voices.models import Voice, VoiceState
from workers.engines.base import EngineError, Segment, SpeakRequest
from workers.engines.join import join
from workers.runtime import Held, JobFailure, JobRefused, settling
from workers.stamp import stamp
from workers.tools import Tools

SPEAKING_FROM, SPEAKING_TO = 0.05, 0.85
"""The part of a clip's progress that is the speaking; then it is stamped and stored."""


@dataclass
class Turn:
    """One clip in the hands of this worker."""

    held: Held
    clip: Clip
    generation: Generation
    request: SpeakRequest


def handle(batch: Sequence[Held], tools: Tools) -> None:
    """Speak the clips of a batch in one call of the engine. What goes wrong with one does not touch the others."""
    turns: list[Turn] = []
    for held in batch:
        with settling(held, tools):
            turns.append(_prepare(held, tools))
    while turns:
        spoken = tools.engine.speak([turn.request for turn in turns])
        turns = _finish_until_trouble(turns, spoken, tools)


def _finish_until_trouble(turns: list[Turn], spoken: Iterator[Segment], tools: Tools) -> list[Turn]:
    """Take clip after clip from the engine; after one that failed, give back those that must be asked for again."""
    for number, turn in enumerate(turns, 1):
        finished = False
        with settling(turn.held, tools):
            _finish(turn, _listen(turn, spoken), tools)
            finished = True
        if not finished:
            return turns[number:]
    return []


def _listen(turn: Turn, spoken: Iterator[Segment]) -> list[Segment]:
    """The segments of one clip, as the engine makes them."""
    segments = []
    try:
        for segment in spoken:
            segments.append(segment)
            done = (segment.index + 1) / segment.total
            turn.held.report(SPEAKING_FROM + (SPEAKING_TO - SPEAKING_FROM) * done, "speaking")
            if segment.index + 1 == segment.total:
                return segments
    except EngineError as error:
        raise JobFailure("speak.engine", str(error)) from error
    raise JobFailure("speak.engine", "The voice engine stopped in the middle of the text.")


def _prepare(held: Held, tools: Tools) -> Turn:
    """Write the ledger row, before any audio exists; the database refuses it for a voice that may not speak."""
    held.report(0.02, "loading the voice engine")
    engine = tools.engine
    epoch, key = tools.keys.current
    name = f"{engine.info.id}/{engine.info.version}"
    with tools.databases.writing() as session:
        jobs.report(session, held.claim, 0.05, "speaking")
        clip = session.scalars(select(Clip).where(Clip.job_id == held.claim.job_id)).one()
        voice = session.get_one(Voice, clip.voice_id)
        if voice.state is not VoiceState.READY or voice.artefact_key is None:
            raise JobRefused("voice_not_ready", "The voice was taken away before the clip was spoken.")
        generation = commit_generation(session, clip, key=key, key_epoch=epoch, engine=name)
        want(session, LeafKind.GENERATION, generation.id)  # one from before the log: its stamp would be refused
    artefact = tools.storage.get(voice.artefact_key)
    request = SpeakRequest(str(clip.id), clip.text, clip.language, artefact, clip.speed, clip.seed)
    return Turn(held, clip, generation, request)


def _finish(turn: Turn, segments: list[Segment], tools: Tools) -> None:
    """Stamp the audio, and in one transaction end the job, charge it and make it deliverable."""
    turn.held.report(SPEAKING_TO, "marking and signing")
    pcm, rate = join(segments)
    stamped = stamp(tools, turn.generation, pcm, rate, turn.clip.output_format, attempt=turn.held.claim.fence)
    with tools.databases.writing() as session:
        jobs.finish(session, turn.held.claim)
        clip = session.get_one(Clip, turn.clip.id)
        write_stamp(session, turn.generation.id, stamped)
        charge_for(session, clip)

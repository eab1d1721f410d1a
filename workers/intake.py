"""An uploaded sample: decoded, measured, judged, and kept as clean speech for what follows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.jobs import service as jobs
from app.voices import results
from app.voices.models import Sample, SampleFile
from app.voices.results import SampleFindings
from workers.audio.checks import SampleReport, check_sample
from workers.audio.decode import AudioRejected, Decoded
from workers.audio.peaks import peaks
from workers.audio.prosody import prosody
from workers.audio.resample import resample
from workers.audio.speakers import Voiceprint, voiceprint
from workers.own_clips import SAYS, made_here
from workers.recordings import CLEAN_RATE, cleaned, decoded, keep
from workers.runtime import Held, JobFailure, each
from workers.tools import Tools


def work(held: Held, tools: Tools) -> None:
    """Judge one sample."""
    with tools.databases.writing() as session:
        jobs.report(session, held.claim, 0.05, "reading the recordings")
        results.sample_checking(session, session.get_one(Sample, held.claim.subject_id))
    files = _files(held, tools)
    pieces, problems = _decode_all(held, files, tools)
    if problems:
        findings = SampleFindings([], problems, {}, 0.0, [], None)
    else:
        held.report(0.3, "listening to the recordings")
        findings = _measure(held, tools, pieces)
    with tools.databases.writing() as session:
        jobs.finish(session, held.claim)
        results.sample_judged(session, session.get_one(Sample, held.claim.subject_id), findings)


handle = each(work)


def _files(held: Held, tools: Tools) -> list[SampleFile]:
    with tools.databases.reading() as session:
        query = select(Sample).where(Sample.id == held.claim.subject_id).options(selectinload(Sample.files))
        return list(session.scalars(query).one().files)


def _decode_all(held: Held, files: Sequence[SampleFile], tools: Tools) -> tuple[list[Decoded], list[dict[str, str]]]:
    """The audio of all files, and what is wrong with those that can't be used, or with all of them together."""
    longest = tools.settings.voices.max_speech.total_seconds() * 2  # pauses are allowed, hours are not
    pieces: list[Decoded] = []
    problems: list[dict[str, str]] = []
    for file in files:
        held.check()
        try:
            pieces.append(decoded(file.storage_key, longest, tools))
        except AudioRejected as rejected:
            problems.append({"code": rejected.code, "message": f"{file.name}: {rejected.message}"})
        if sum(piece.source.seconds for piece in pieces) > longest:  # each is short enough: bounds the memory of many
            message = f"Together the recordings are longer than {longest:.0f} seconds. Please send fewer of them."
            return [], [{"code": "sample.too_long", "message": message}]
    return pieces, problems


def _measure(held: Held, tools: Tools, pieces: Sequence[Decoded]) -> SampleFindings:
    limits = tools.settings.voices
    report = check_sample(
        pieces,
        min_speech_seconds=limits.min_speech.total_seconds(),
        max_speech_seconds=limits.max_speech.total_seconds(),
    )
    clean = cleaned(pieces)
    copied = made_here(clean, CLEAN_RATE, tools)
    if copied is not None:
        reason = {"code": "sample.made_here", "message": SAYS}
        return SampleFindings([], [reason], {}, report.speech_seconds, peaks(clean), None, copied)
    checks = [asdict(check) for check in report.checks]
    drawn = peaks(clean)
    if not report.accepted:
        return SampleFindings(checks, _reasons(report), {}, report.speech_seconds, drawn, None)
    held.report(0.7, "measuring the voice")
    speech = resample(clean, CLEAN_RATE, 16_000)
    figures = prosody(speech)
    folder = f"samples/{held.claim.subject_id}"
    tools.storage.put(f"{folder}/voiceprint.npz", _packed(_voiceprint(speech)))
    keep(f"{folder}/clean.flac", clean, tools)
    return SampleFindings(checks, [], asdict(figures), report.speech_seconds, drawn, f"{folder}/clean.flac")


def _reasons(report: SampleReport) -> list[dict[str, str]]:
    return [{"code": check.code, "message": check.sentence} for check in report.checks if not check.passed]


def _voiceprint(speech: NDArray[np.float32]) -> Voiceprint:
    print_ = voiceprint(speech)
    if print_ is None:  # cannot be: the checks have found half a minute of speech
        raise JobFailure("intake.no_speech", "There is no speech in the recordings.")
    return print_


def _packed(print_: Voiceprint) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, dvector=print_.dvector, resemblyzer=print_.resemblyzer)
    return buffer.getvalue()


def voiceprint_of(sample: Sample, tools: Tools) -> Voiceprint:
    """The voiceprint that intake kept of an accepted sample."""
    with np.load(io.BytesIO(tools.storage.get(f"samples/{sample.id}/voiceprint.npz")), allow_pickle=False) as packed:
        return Voiceprint(packed["dvector"], packed["resemblyzer"])

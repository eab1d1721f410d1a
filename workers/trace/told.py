"""The evidence of each channel, in numbers and a sentence; see app.provenance.findings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from app.provenance.findings import (
    CredentialsEvidence,
    FingerprintEvidence,
    MarkEvidence,
    Matched,
    WordsEvidence,
)
from app.provenance.rules import LEAD_RATE, STRONG_RATE, STRONG_SECONDS
from workers.marks.alignment import Verified
from workers.marks.credentials import CredentialReading
from workers.trace.marks import MarkHit
from workers.trace.prints import PrintHit
from workers.trace.words import WordsHit


@dataclass(frozen=True)
class Tested:
    """The informed test of the mark, made for clips that the fingerprint had found."""

    how: Literal["presence", "twins"]
    generation_id: uuid.UUID
    z: float
    bound: float
    decided: bool
    absent: bool = False
    """The sound is there, and its mark is clearly not."""


def of_credentials(reading: CredentialReading, known: bool) -> CredentialsEvidence:
    """`known`: they are intact and ours, and the ledger has their generation."""
    if known:
        sentence = "Intact content credentials, signed here, name the generation."
    elif reading.state == "valid" and reading.own:
        sentence = "Intact content credentials, signed here, name a generation that is not in the ledger."
    elif reading.state in ("valid", "unknown_signer"):
        sentence = "The file has content credentials by somebody else."
    elif reading.state == "invalid":
        sentence = "The file has content credentials, but it was changed after they were signed."
    else:
        sentence = "The file has no content credentials. They are lost whenever a file is converted."
    return {"channel": "credentials", "state": reading.state, "known": known, "sentence": sentence}


def of_mark(hit: MarkHit | None, tested: Tested | None, tags: int, *, sound_compared: bool = True) -> MarkEvidence:
    """The mark, found blind or by the informed test. `tags` have been issued."""
    if hit is None:
        why = "No generation has been made here yet." if not tags else "The file is too short to hold a mark."
        return {"channel": "mark", "accepted": False, "tags": tags, "sentence": why}
    reading, found = hit.match.reading, hit.found
    informed = tested is not None and tested.decided and not hit.accepted
    told: MarkEvidence = {
        "channel": "mark",
        "accepted": hit.accepted or informed,
        "tags": hit.tags,
        "z": round(found.z, 2),
        "z_generation": round(found.z_generation, 2),
        "runner_up_z": round(found.runner_up_z, 2) if found.runner_up_z > -float("inf") else None,
        "errors": hit.match.errors,
        "hypotheses": hit.readings,
        "bound": found.bound,
        "from_seconds": round(reading.start, 2),
        "to_seconds": round(reading.end, 2),
        "pitch_scale": round(reading.pitch_scale, 4),
        "time_scale": round(reading.time_scale, 4),
        "sentence": _mark_sentence(hit, tested),
    }
    if tested is not None and (tested.decided or tested.absent):
        told |= {"informed": tested.how, "informed_z": round(tested.z, 2), "informed_bound": tested.bound}
    if hit.elsewhere:
        told["elsewhere"] = hit.elsewhere
    if found.sounds_other:
        told["sounds_other"] = True
    if not sound_compared:
        told["sound_compared"] = False
        told["sentence"] += " Nothing of that clip's sound is kept to compare with."
    return told


def _mark_sentence(hit: MarkHit, tested: Tested | None) -> str:
    if hit.found.sounds_other:
        return "The mark of a clip is in the file, but the sound is not that clip's: it may have been carried over."
    reading, agreeing = hit.match.reading, 128 - hit.match.errors
    informed = tested if tested is not None and tested.decided and not hit.accepted else None
    if informed is not None and informed.how == "presence":
        return "Too little of a mark is left to be found blind, but the mark of the clip that sounds the same is in it."
    if informed is not None:
        return "Several clips sound the same. Compared with their originals, the file shows the mark of one of them."
    if not hit.accepted and tested is not None and tested.absent:
        return "The file has the sound of a clip without its mark: from elsewhere, or somebody took the mark out."
    if not hit.accepted:
        best = f"the best of {hit.tags:,} issued marks agrees in {agreeing} of 128 bits"
        if hit.found.bound <= LEAD_RATE:
            return f"There may be a mark: {best}, more than chance gives as a rule, and too little to be sure."
        return f"No mark was found: {best}, as chance would."
    where = f"{agreeing} of the 128 bits of the best mark agree between {reading.start:.1f} s and {reading.end:.1f} s."
    if hit.elsewhere == 1:
        return f"{where} The mark of another clip is in another part of the file: cut it out to trace it."
    if hit.elsewhere:
        return (
            f"{where} Marks of {hit.elsewhere} other clips are in other parts of the file: cut them out to trace them."
        )
    return where


def of_prints(hit: PrintHit | None, candidates: int) -> FingerprintEvidence:
    """The fingerprint, when there is an index. `candidates` were proposed by it."""
    if hit is None:
        sentence = (
            f"{candidates} clips have something in common with the file, and none agrees when compared."
            if candidates
            else "No clip has enough in common with the file to be compared."
        )
        return {"channel": "fingerprint", "candidates": candidates, "verified": 0, "sentence": sentence}
    where, equals = hit.best.where, hit.equals
    told: FingerprintEvidence = {
        "channel": "fingerprint",
        "candidates": candidates,
        "verified": len(equals),
        "one_account": len({each.made.account_id for each in equals}) == 1,
        "stock_voice": not hit.best.made.own_voice,
        "score": round(where.score, 2),
        "agreement": round(where.agreement, 3),
        "bound": where.false_rate,
        "from_seconds": round(where.query_from, 2),
        "to_seconds": round(where.query_to, 2),
        "original_from": round(where.original_from, 2),
        "original_to": round(where.original_to, 2),
        "speed": round(where.speed, 4),
        "pitch": round(where.pitch, 4),
        "sentence": _print_sentence(hit),
    }
    if hit.elsewhere:
        told["elsewhere"] = hit.elsewhere
    return told


def _print_sentence(hit: PrintHit) -> str:
    where, count = hit.best.where, len(hit.equals)
    place = f"between {where.query_from:.1f} s and {where.query_to:.1f} s"
    if count == 1 and (hit.best.seconds < STRONG_SECONDS or where.false_rate > STRONG_RATE):
        return f"One clip may be the same {place}: too short or too unclear to be sure."
    if count == 1 and not hit.best.made.own_voice:
        said = f"The sound is that of one clip {place}, in a stock voice: whoever has the engine can make the same."
    elif count == 1:
        said = f"The sound is that of one clip {place}, and of no other."
    else:
        owners = "one account" if len({each.made.account_id for each in hit.equals}) == 1 else "different accounts"
        said = f"{count} clips of {owners} sound the same {place}. Only their marks tell them apart."
    return f"{said} Other parts of the file are from other clips." if hit.elsewhere else said


def of_words(hit: WordsHit | None, heard: int) -> WordsEvidence:
    """The words, when they were looked at. `heard` were recognised."""
    if hit is None:
        sentence = "No clip was asked to say what is heard." if heard else "No words were recognised."
        return {"channel": "words", "heard": heard, "clips": 0, "sentence": sentence}
    what = "one clip was" if hit.clips == 1 else f"{hit.clips} clips were"
    return {
        "channel": "words",
        "heard": hit.heard,
        "clips": hit.clips,
        "agreeing": hit.agreeing,
        "share": round(hit.share, 3),
        "from_seconds": round(hit.start, 2),
        "to_seconds": round(hit.end, 2),
        "sentence": f"{hit.agreeing} words in a row, nearly, are those that {what} asked to say. Anybody can say them.",
    }


def matched(where: Verified) -> Matched:
    """Where copy and original agree."""
    return {
        "query_from": round(where.query_from, 2),
        "query_to": round(where.query_to, 2),
        "original_from": round(where.original_from, 2),
        "original_to": round(where.original_to, 2),
        "speed": round(where.speed, 4),
        "pitch": round(where.pitch, 4),
    }

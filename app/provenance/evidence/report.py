"""What an evidence bundle says: facts out of the database as plain JSON. It names no person.

An account stands there by its id alone: whoever receives a bundle can tell two accounts apart, and only the service can
say who is behind one. That goes its own way, to those who may ask for it.
"""

from __future__ import annotations

import json
import math
import platform
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.core.db import now
from app.provenance.evidence.models import EvidenceBundle
from app.provenance.findings import LABELS
from app.provenance.ledger import keys
from app.provenance.models import Stamp, TraceQuery, Verdict
from app.settings import Settings
from app.speech.models import Generation

MEASURED = Path(__file__).parents[1] / "measured.json"
"""Error rates as the benchmark measured them, where it has been run."""
_PACKAGES = ("vouch", "c2pa-python", "numpy", "scipy", "onnxruntime", "av", "cryptography")

VERDICTS = {
    Verdict.CONFIRMED: "Confirmed: the sound in question was made by this service, as the clip named below.",
    Verdict.STRONG: "Strong support: the sound in question very probably is the clip named below.",
}
ALTERNATIVES = (
    "Resold or shared output: whoever made the clip may have handed it to others. That an account made a clip does "
    "not prove that the same person published it, or changed it afterwards.",
    "A shared or stolen account: several people may use one account, or somebody may have got hold of its key. The "
    "record of sign-ins and keys says more.",
    "A twin: another account may have made the same words with the same voice. A confirmed verdict rests on the mark "
    "or on signed credentials, which tell twins apart; a strong one means that no other clip here sounds the same.",
    "Part of a whole: only the stretch that is named matches. The rest of the recording may come from anywhere.",
    "A match by chance: how rare that is at the most stands above.",
)
NAMES = (
    "This bundle names no person. The account is given by its id, so that it can be shown to others without giving "
    "away who is behind it. The service hands out the holder's name only on a lawful request."
)


def compose(
    session: Session, bundle: EvidenceBundle, query: TraceQuery, stamp: Stamp | None, settings: Settings
) -> dict[str, Any]:
    """All of the report but its list of files. `query` comes with generation, clip and voice loaded."""
    generation = query.generation
    assert generation is not None, "a bundle is asked only for a query that names one"
    assert query.verdict is not None
    account = session.get_one(Account, generation.account_id)
    return {
        "v": 1,
        "bundle": bundle.public_id,
        "made_at": now().isoformat(),
        "asked_by": bundle.asked_by,
        "reason": bundle.reason,
        "service": {"name": settings.voices.service_name, "address": settings.public_url, "contact": settings.contact},
        "query": _query(query),
        "verdict": query.verdict.value,
        "verdict_in_words": VERDICTS[query.verdict],
        "false_match_rate": query.false_match_rate,
        "false_match_rate_in_words": how_rare(query.false_match_rate),
        "evidence": [each | {"label": LABELS.get(each["channel"], each["channel"])} for each in query.evidence],
        "matched": query.matched,
        "generation": _generation(generation),
        "stamp": _stamp(stamp),
        "account": {"id": account.public_id, "row": str(account.id), "names": NAMES},
        "alternatives": list(ALTERNATIVES),
        "software": _software(),
        "keys": [{"use": key.use.value, "name": key.name, "fingerprint": key.fingerprint} for key in _keys(session)],
        "measured": json.loads(MEASURED.read_text()) if MEASURED.exists() else None,
    }


def how_rare(rate: float | None) -> str:
    """The bound of a wrong match as a sentence."""
    if rate is None:
        return "No bound was calculated."
    if rate == 0.0:
        return "The verdict rests on a digital signature: chance can't give one."
    once_in = 1 / rate
    number = f"{once_in:,.0f}" if once_in < 1e15 else f"10 to the power of {math.floor(math.log10(once_in))}"
    return f"Other audio gives such a match at most once in {number} searches."


def _query(query: TraceQuery) -> dict[str, Any]:
    return {
        "id": query.public_id,
        "file_name": query.file_name,
        "file_sha256": query.file_digest,
        "seconds": query.seconds,
        "asked_at": _when(query.created_at),
        "answered_at": _when(query.answered_at),
        "asked_by": query.asked_by,
        "reason": query.reason,
    }


def _generation(generation: Generation) -> dict[str, Any]:
    clip = generation.clip
    return {
        "id": str(generation.id),
        "ref": generation.public_ref,
        "made_at": _when(generation.created_at),
        "engine": generation.engine,
        "seed": generation.seed,
        "key_epoch": generation.key_epoch,
        "clip": clip.public_id,
        "voice": clip.voice.public_id,
        "consent": str(generation.consent_id) if generation.consent_id else None,
        "text": clip.text or None,
    }


def _stamp(stamp: Stamp | None) -> dict[str, Any] | None:
    if stamp is None:
        return None
    return {
        "sha256": stamp.sha256,
        "size": stamp.size,
        "seconds": stamp.seconds,
        "output_format": stamp.output_format,
        "mark_score": stamp.mark_score,
        "mark_strength_db": stamp.mark_strength_db,
        "credentials": stamp.credentials,
        "made_at": _when(stamp.created_at),
    }


def _software() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a source tree that was never installed
            found[name] = "not installed"
    return found


def _keys(session: Session) -> list[Any]:
    return keys.registered(session)


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

"""Which stored objects something still needs. What nothing needs is an orphan.

Objects are left over by work that was cut off: an upload whose request broke, a voiceprint written by a worker whose
voice was deleted meanwhile. NAMES lists every column that names an object; a test compares it with the schema.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from app.accounts.holds import held
from app.accounts.models import Account
from app.core.storage import Storage
from app.privacy.models import DataExport
from app.provenance.evidence.models import EvidenceBundle
from app.provenance.models import Stamp, TraceQuery
from app.speech.models import Clip, Generation
from app.voices.models import Consent, Sample, SampleFile, Voice, VoiceState

FOLDERS = ("uploads", "samples", "consents", "voices", "generations", "traces", "evidence", "exports")
"""Where people's data lies. Other folders of the storage are never touched."""
BATCH = 300
"""Keys that are compared with the rows at once."""

_voice_is_kept = or_(Voice.state != VoiceState.DELETED, held(Voice.account_id))
_of_sample = select(SampleFile.storage_key).join(Sample, Sample.id == SampleFile.sample_id)

NAMES: dict[str, Select[Any]] = {
    "voice.artefact_key": select(Voice.artefact_key).where(_voice_is_kept),
    "sample.audio_key": select(Sample.audio_key).join(Voice, Voice.id == Sample.voice_id).where(_voice_is_kept),
    "sample_file.storage_key": _of_sample.join(Voice, Voice.id == Sample.voice_id).where(_voice_is_kept),
    "consent.recording_key": select(Consent.recording_key),
    "consent.audio_key": select(Consent.audio_key),
    "stamp.storage_key": select(Stamp.storage_key)
    .join(Generation, Generation.id == Stamp.generation_id)
    .join(Clip, Clip.id == Generation.clip_id)
    .join(Account, Account.id == Clip.account_id)
    .where(or_(Account.erased_at.is_(None), Clip.text != "")),
    "trace_query.storage_key": select(TraceQuery.storage_key),
    "trace_query.audio_key": select(TraceQuery.audio_key),
    "evidence_bundle.storage_key": select(EvidenceBundle.storage_key),
    "data_export.storage_key": select(DataExport.storage_key),
}
"""Column to the query for the keys in it that are still needed."""
_VOICEPRINT = re.compile(r"samples/([0-9a-f-]{36})/voiceprint\.npz")


def orphans(
    storage: Storage, reading: Callable[[Sequence[str]], set[str]], older_than: datetime
) -> Iterator[list[str]]:
    """Keys that nothing needs, in batches. `reading` gives those of some keys that are needed, as `needed` does.

    The objects are listed before the rows are read: whatever is being stored now is too young to be asked about.
    """
    for folder in FOLDERS:
        found = storage.keys(folder, older_than)
        while batch := list(islice(found, BATCH)):
            needed_now = reading(batch)
            left = [key for key in batch if key not in needed_now]
            if left:
                yield left


def needed(session: Session, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a row still needs."""
    found: set[str] = set()
    for query in NAMES.values():
        found.update(session.scalars(query.where(query.selected_columns[0].in_(keys))))
    return found | _voiceprints(session, keys)


def _voiceprints(session: Session, keys: Sequence[str]) -> set[str]:
    """No column names a voiceprint: it belongs to the sample whose clean speech is kept."""
    by_sample = {uuid.UUID(found[1]): key for key in keys if (found := _VOICEPRINT.fullmatch(key))}
    kept = (
        select(Sample.id)
        .join(Voice, Voice.id == Sample.voice_id)
        .where(Sample.id.in_(by_sample), Sample.audio_key.is_not(None), _voice_is_kept)
    )
    return {by_sample[sample_id] for sample_id in session.scalars(kept)}

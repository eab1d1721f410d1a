"""The one function through which audio leaves the workers: levelled, marked, read back, signed, stored.

It fails closed: what can't be marked, or whose mark can't be read back, is not stored and so can't be delivered.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from app.provenance.service import Stamped
from app.speech.models import Generation
from workers import credentials
from workers.audio.encode import Encoded, encode
from workers.audio.loudness import normalise
from workers.audio.peaks import peaks
from workers.marks import fingerprint
from workers.marks.assure import MarkFailed, embed_checked
from workers.marks.credentials import MIME_TYPES, Claim
from workers.runtime import JobFailure
from workers.tools import Tools

CLIP_PEAKS = 400
"""How many peaks are kept for drawing."""


def stamp(
    tools: Tools, generation: Generation, pcm: NDArray[np.float32], rate: int, output_format: str, *, attempt: int
) -> Stamped:
    """Turn spoken audio (mono float32 at `rate`) into a stored, marked and signed file.

    `attempt` (the claim's fence) keeps the files of two tries apart. Raises JobFailure when the mark does not hold.
    """
    try:
        marked = embed_checked(tools.keys.ring.under(generation.key_epoch), normalise(pcm, rate), rate, generation.tag)
    except MarkFailed as failed:
        raise JobFailure("stamp.mark", f"The clip could not be marked, so it can't be delivered. {failed}") from failed
    sound = fingerprint.make(marked.pcm, rate)
    file = encode(marked.pcm, rate, output_format)
    data, signed = _sign(tools, generation, file)
    key = f"generations/{generation.id}/{attempt}.{file.extension}"
    tools.storage.put(key, data)
    return Stamped(
        output_format=output_format,
        storage_key=key,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        seconds=len(pcm) / rate,
        peaks=peaks(marked.pcm, CLIP_PEAKS),
        mark_score=marked.z,
        mark_strength_db=marked.strength_db,
        traceable=not marked.too_short_to_trace,
        credentials=signed,
        fingerprint=sound,
    )


def _sign(tools: Tools, generation: Generation, file: Encoded) -> tuple[bytes, bool]:
    """The file with content credentials, where its format can hold them."""
    if file.mime not in MIME_TYPES:
        return file.data, False
    claim = Claim(
        generation_ref=generation.public_ref,
        title=f"Synthetic speech by {tools.settings.voices.service_name}",
        model_name=generation.engine,
        created_at=generation.created_at,
    )
    clock = tools.settings.provenance.timestamp_url
    signed, _ = credentials.sign(file.data, file.mime, claim, tools.keys.signer, clock)
    return signed, True

"""The bytes of a prepared voice: an .npz of plain arrays with a header that says who made it.

The same content gives the same bytes. Nothing is ever unpickled, and reading is bounded in memory.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.engines.base import ArtefactIncompatible

LARGEST_BYTES = 4 * 2**20
_HEADER = "header"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold, so that equal voices are equal bytes

Arrays = Mapping[str, NDArray[Any]]


def pack(engine: str, version: str, facts: Mapping[str, Any], arrays: Arrays) -> bytes:
    """An artefact. facts: JSON values, such as the hashes of the weights; arrays: of numbers."""
    header = json.dumps({"engine": engine, "version": version, "facts": dict(facts)}, sort_keys=True)
    members = {_HEADER: np.frombuffer(header.encode(), np.uint8), **arrays}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(members):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(members[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
    return target.getvalue()


def unpack(data: bytes, engine: str, version: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of an artefact of this engine and version. Raises ArtefactIncompatible."""
    try:
        header, arrays = _read(data)
        found = str(header["engine"]), str(header["version"])
        facts = dict(header["facts"])
    except Exception as error:  # damaged bytes fail in many ways: zip, zlib, json, numpy, memory
        raise ArtefactIncompatible("The voice artefact is damaged: prepare the voice again.") from error
    if found != (engine, version):
        raise ArtefactIncompatible(
            f"The voice was prepared for {found[0][:40]} {found[1][:40]}, not for {engine} {version}: "
            "prepare it again from its sample."
        )
    return facts, arrays


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST_BYTES:
            raise ValueError("too large")
        if archive.testzip() is not None:  # every member against its checksum
            raise ValueError("checksum")
        arrays = {
            entry.filename.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(entry)), allow_pickle=False
            )
            for entry in archive.infolist()
        }
    header = json.loads(arrays.pop(_HEADER).tobytes())
    if any(not np.issubdtype(a.dtype, np.number) or not np.isfinite(a).all() for a in arrays.values()):
        raise ValueError("not finite numbers")
    return header, arrays

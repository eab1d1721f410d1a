"""Reads the tensors of a file that `torch.save` wrote in its old format, without torch and without running its code.

The file is a row of pickles (magic number, protocol, system, content, storage keys), then the storages: a count as
little-endian int64 and that many float32. The unpickler knows three names and refuses any other.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _Tensor:
    storage: str
    offset: int
    shape: tuple[int, ...]


def _tensor(storage: str, offset: int, shape: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape)


class _Unpickler(pickle.Unpickler):
    _KNOWN = {  # noqa: RUF012 - constant
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch", "FloatStorage"): "float32",
    }

    def find_class(self, module: str, name: str) -> Any:
        """Only what a dictionary of float32 tensors needs."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of weights") from None

    def persistent_load(self, pid: Any) -> str:
        """A reference to a storage: its key stands for it until the storages are read."""
        return str(pid[2])


def load_tensors(path: Path, entry: str) -> dict[str, NDArray[np.float32]]:
    """The contiguous float32 tensors of the dictionary `entry`, by name.

    Raises pickle.UnpicklingError if the file holds anything else.
    """
    with path.open("rb") as file:
        if _Unpickler(file).load() != _MAGIC:
            raise pickle.UnpicklingError("not a file of torch's old format")
        _Unpickler(file).load()  # protocol
        _Unpickler(file).load()  # system
        content = _Unpickler(file).load()
        storages = {key: _storage(file) for key in _Unpickler(file).load()}
    return {
        name: storages[t.storage][t.offset : t.offset + int(np.prod(t.shape))].reshape(t.shape)
        for name, t in content[entry].items()
    }


def _storage(file: BinaryIO) -> NDArray[np.float32]:
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(4 * count), dtype="<f4")

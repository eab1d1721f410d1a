"""Kokoro's network in onnxruntime: edited once into cached files, then tokens and style in, audio out.

The float32 graph is there for speed: it costs more memory than the int8 one that it is made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from workers.engines.base import Floats
from workers.engines.kokoro import graph
from workers.weights import CATALOG, cache_directory, locate

WEIGHTS = "kokoro-82m-int8"
SAMPLE_RATE = 24_000
F0_RATE = 80.0
"""Frames a second of the pitch contour."""
MAX_SYMBOLS = 508
"""Symbols of one call: the network's 512 positions, less two for the padding and two for safety."""


@cache
def symbols() -> dict[str, int]:
    """Kokoro's 114 phoneme symbols and their token numbers, as in its config.json (Apache-2.0, hexgrad)."""
    table = json.loads(Path(__file__).with_name("symbols.json").read_text(encoding="utf-8"))
    return {str(symbol): int(number) for symbol, number in table["symbols"].items()}


def tokens(phonemes: str) -> list[int]:
    """Token numbers; what Kokoro has no symbol for is left out."""
    return [symbols()[symbol] for symbol in phonemes if symbol in symbols()]


class Speaker:
    """The whole network. Loading takes longest the very first time, when `derived_files` are made."""

    def __init__(self) -> None:
        self._session = _session(derived_files() / "speech.onnx")

    def speak(self, ids: list[int], style: Floats, speed: float, mu: float, ratio: float, shift: float) -> Floats:
        """Audio at SAMPLE_RATE for up to MAX_SYMBOLS tokens.

        style: (256,), timbre then prosody. mu, ratio, shift: pitch control, see graph.add_pitch_control.
        """
        (audio,) = self._session.run(
            ["audio"],
            {
                **_inputs(ids, style, speed),
                "f0_mu": np.array([mu], np.float32),
                "f0_ratio": np.array([ratio], np.float32),
                "f0_shift": np.array([shift], np.float32),
            },
        )
        return np.clip(np.asarray(audio, np.float32).reshape(-1), -1.0, 1.0)


class Prosody:
    """The front of the network: how a style would time and intone a text, at a small part of the cost."""

    def __init__(self) -> None:
        self._session = _session(derived_files() / "prosody.onnx")

    def contour(self, ids: list[int], style: Floats, speed: float = 1.0) -> Floats:
        """F0 in Hz at F0_RATE frames a second, below graph.VOICED_ABOVE where unvoiced."""
        (f0,) = self._session.run(None, _inputs(ids, style, speed))
        return np.asarray(f0, np.float32).reshape(-1)


def weights_digest() -> str:
    """sha256 of the weights that everything here derives from."""
    return CATALOG[WEIGHTS].files[0].sha256


def derived_files() -> Path:
    """Folder with speech.onnx and prosody.onnx, made at first use and named by the content they come from."""
    recipe = hashlib.sha256(Path(graph.__file__).read_bytes() + weights_digest().encode()).hexdigest()
    folder = cache_directory() / f"kokoro-float32-{recipe[:16]}"
    if not folder.is_dir():
        _derive(folder)
    return folder


def _derive(folder: Path) -> None:
    model = graph.float32_model(onnx.load(str(locate(WEIGHTS) / "model.onnx")))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        onnx.save(graph.prosody_model(model), str(made / "prosody.onnx"))
        onnx.save(graph.add_pitch_control(model), str(made / "speech.onnx"))
        try:
            made.rename(folder)  # atomic: another process sees both files or none
        except OSError:
            if not folder.is_dir():  # else: another process was first, with the same content
                raise


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _inputs(ids: list[int], style: Floats, speed: float) -> dict[str, Any]:
    return {
        "tokens": np.array([[0, *ids, 0]], np.int64),
        "style": np.asarray(style, np.float32).reshape(1, 256),
        "speed": np.array([speed], np.float32),
    }

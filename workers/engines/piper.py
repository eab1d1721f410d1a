"""The Piper voice "joe" on onnxruntime: a synthetic American man, who stands in for a human donor.

He is not offered to customers: his only use is the demo and the tests, which need a voice that may be cloned.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence

import numpy as np
import onnxruntime

from workers.engines.base import Floats
from workers.engines.phonemes import espeak_ipa
from workers.weights import locate

_SEED = 7
_LONGEST_PIECE = 240


class PiperVoice:
    """Loaded and ready. The same texts in the same order give the same audio."""

    def __init__(self) -> None:
        folder = locate("piper-joe")
        config = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.sample_rate = int(config["audio"]["sample_rate"])
        self.longest_piece = _LONGEST_PIECE
        self._symbols: dict[str, Sequence[int]] = config["phoneme_id_map"]
        inference = config["inference"]
        self._scales = np.array([inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32)
        onnxruntime.set_seed(_SEED)  # the network draws its own noise
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
        options.log_severity_level = 3
        path = str(folder / "model.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def speak(self, text: str) -> Floats:
        """Mono float32 at `sample_rate` for one piece of English text, up to `longest_piece` characters."""
        ids = self._ids(unicodedata.normalize("NFD", espeak_ipa(text, "en-us")), text.rstrip()[-1:])
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": self._scales,
        }
        return np.asarray(self._session.run(None, inputs)[0], np.float32).reshape(-1)

    def _ids(self, phonemes: str, ending: str) -> list[int]:
        """Piper's sequence: start, then each symbol followed by a pad, then end."""
        final = ending if ending in ".?!" else "."
        ids = [*self._symbols["^"], *self._symbols["_"]]
        for symbol in phonemes + final:
            if symbol in self._symbols:
                ids += [*self._symbols[symbol], *self._symbols["_"]]
        return [*ids, *self._symbols["$"]]

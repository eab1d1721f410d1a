"""ONNX sessions as the workers want them: a fixed number of threads, no memory kept back between runs."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session for a file or a serialised model.

    Without the memory arena, which would keep the peak of the longest input for good.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )

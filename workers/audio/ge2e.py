"""The network of Resemblyzer as an ONNX graph, from the weights that its package brings for torch.

Wan et al. 2018, "Generalized end-to-end loss for speaker verification": LSTM layers, then a linear layer with ReLU on
the last hidden state.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_LAYERS = 3
_SIZE = 256
_BANDS = 40


def ge2e_model(weights: dict[str, NDArray[np.float32]]) -> bytes:
    """Serialised model: input `mel` (time, batch, 40), output `embedding` (batch, 256), not yet of unit length.

    `weights` has torch's names: lstm.weight_ih_l0 and so on, linear.weight, linear.bias.
    """
    nodes = []
    constants = {
        "axis": np.array([1], np.int64),
        "first": np.array([0], np.int64),
        "w": weights["linear.weight"],
        "b": weights["linear.bias"],
    }
    signal = "mel"
    for n in range(_LAYERS):
        constants[f"W{n}"] = _gates(weights[f"lstm.weight_ih_l{n}"])[None]
        constants[f"R{n}"] = _gates(weights[f"lstm.weight_hh_l{n}"])[None]
        biases = _gates(weights[f"lstm.bias_ih_l{n}"]), _gates(weights[f"lstm.bias_hh_l{n}"])
        constants[f"B{n}"] = np.concatenate(biases)[None]
        nodes.append(
            helper.make_node("LSTM", [signal, f"W{n}", f"R{n}", f"B{n}"], [f"y{n}", f"h{n}"], hidden_size=_SIZE)
        )
        nodes.append(helper.make_node("Squeeze", [f"y{n}", "axis"], [f"x{n}"]))  # one direction only
        signal = f"x{n}"
    nodes += [
        helper.make_node("Squeeze", [f"h{_LAYERS - 1}", "first"], ["last"]),
        helper.make_node("Gemm", ["last", "w", "b"], ["linear"], transB=1),
        helper.make_node("Relu", ["linear"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "ge2e",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["time", "batch", _BANDS])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", _SIZE])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10  # which every supported onnxruntime reads
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _gates(torch_order: NDArray[np.float32]) -> NDArray[np.float32]:
    """From torch's order of gates (input, forget, cell, output) to that of ONNX (input, output, forget, cell)."""
    i, f, c, o = np.split(torch_order, 4)
    return np.concatenate([i, o, f, c])

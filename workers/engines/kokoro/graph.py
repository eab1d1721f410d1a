"""Kokoro's ONNX file, edited: float32 instead of int8, and the pitch as inputs.

float32_model       the same network in float32
add_pitch_control   new inputs f0_mu, f0_ratio, f0_shift (float32 [1], natural log of Hz): a voiced frame becomes
                    exp((ln f0 - f0_mu) * f0_ratio + f0_mu + f0_shift)
prosody_model       the front part alone: from tokens, style and speed to the F0 contour, 80 frames a second

The int8 file was made by onnxruntime's dynamic quantisation; the patterns undone here are the ones it writes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.utils import Extractor

F0_OUTPUT = "/encoder/Squeeze_output_0"
"""Hz, [1, frames] at 80 frames a second, before the pitch control; near or below 0 where unvoiced."""

VOICED_ABOVE = 40.0
"""Hz; Kokoro's contour hovers near 0 in unvoiced frames."""


def float32_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` itself, its quantised convolutions, products and LSTMs replaced by float32 ones."""
    graph = _Graph(model)
    for node in list(model.graph.node):
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            graph.restore_product(node)
        elif node.op_type == "DynamicQuantizeLSTM":
            graph.restore_lstm(node)
    graph.write()
    return model


def add_pitch_control(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` itself with the three pitch inputs; F0_OUTPUT keeps the contour before control."""
    graph = model.graph
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == F0_OUTPUT:
                node.input[i] = "f0_controlled"
    steps = [
        helper.make_node("Max", [F0_OUTPUT, "f0_floor"], ["f0_positive"]),
        helper.make_node("Log", ["f0_positive"], ["f0_log"]),
        helper.make_node("Sub", ["f0_log", "f0_mu"], ["f0_centred"]),
        helper.make_node("Mul", ["f0_centred", "f0_ratio"], ["f0_spread"]),
        helper.make_node("Add", ["f0_spread", "f0_mu"], ["f0_placed"]),
        helper.make_node("Add", ["f0_placed", "f0_shift"], ["f0_moved"]),
        helper.make_node("Exp", ["f0_moved"], ["f0_hz"]),
        helper.make_node("Greater", [F0_OUTPUT, "f0_threshold"], ["f0_voiced"]),
        helper.make_node("Where", ["f0_voiced", "f0_hz", F0_OUTPUT], ["f0_controlled"]),
    ]
    nodes = list(graph.node)
    at = next(i for i, node in enumerate(nodes) if F0_OUTPUT in node.output) + 1
    _replace_nodes(model, [*nodes[:at], *steps, *nodes[at:]])
    for name, value in (("f0_floor", 20.0), ("f0_threshold", VOICED_ABOVE)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.float32), name))
    for name in ("f0_mu", "f0_ratio", "f0_shift"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    return model


def prosody_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A new model, inputs tokens, style, speed, that stops at F0_OUTPUT; a small part of the whole."""
    names = [i.name for i in model.graph.input if i.name in ("tokens", "style", "speed")]
    model.graph.value_info.append(helper.make_tensor_value_info(F0_OUTPUT, TensorProto.FLOAT, [1, None]))
    return Extractor(model).extract_model(names, [F0_OUTPUT])


class _Graph:
    """A graph under repair: what each tensor comes from and goes to, and what is to be dropped or added."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.value = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.producer = {out: node for node in model.graph.node for out in node.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.consumers[name].append(node)
        self.dropped: set[int] = set()
        self.replacement: dict[int, NodeProto] = {}
        self.fresh: dict[str, np.ndarray[Any, Any]] = {}

    def restore_product(self, node: NodeProto) -> None:
        """ConvInteger or MatMulInteger, [Add bias], Cast, Mul by the scales: one Conv or MatMul again."""
        quantiser = self.producer[node.input[0]]
        data, data_scale = quantiser.input[0], quantiser.output[1]
        chain, inputs = [node], [data, node.input[1] + "_f32"]
        after = self.consumers[node.output[0]][0]
        if after.op_type == "Add":  # the bias, divided by the scales
            divided = next(i for i in after.input if i != node.output[0])
            bias = self._source(divided, "Div")
            self.fresh[bias + "_flat"] = self.value[bias].reshape(-1).astype(np.float32)
            inputs.append(bias + "_flat")
            chain.append(after)
            after = self.consumers[after.output[0]][0]
        product = self.consumers[after.output[0]][0]
        scales = self.producer[next(i for i in product.input if i != after.output[0])]
        weight_scale = self._source(next(i for i in scales.input if i != data_scale))
        convolution = node.op_type == "ConvInteger"
        axis = 0 if convolution else self.value[node.input[1]].ndim - 1
        self.fresh[inputs[1]] = self._weight(node.input[1], weight_scale, node.input[3], axis)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute} if convolution else {}
        self.replacement[id(product)] = helper.make_node(
            "Conv" if convolution else "MatMul",
            inputs,
            [product.output[0]],
            name=node.name + "_f32",
            **attributes,
        )
        self.dropped.update(id(n) for n in (*chain, after))

    def restore_lstm(self, node: NodeProto) -> None:
        """DynamicQuantizeLSTM: a plain LSTM, whose weights lie transposed."""
        for weight, scale, zero in ((1, 8, 9), (2, 10, 11)):
            stored = self.value[node.input[weight]].astype(np.float32)
            value = (stored - self._per_gate(node.input[zero])) * self._per_gate(node.input[scale])
            self.fresh[node.input[weight] + "_f32"] = np.ascontiguousarray(value.transpose(0, 2, 1))
        weights = [node.input[1] + "_f32", node.input[2] + "_f32"]
        hidden = next(a.i for a in node.attribute if a.name == "hidden_size")
        self.replacement[id(node)] = helper.make_node(
            "LSTM",
            [node.input[0], *weights, *node.input[3:7]],
            list(node.output),
            name=node.name + "_f32",
            direction="bidirectional",
            hidden_size=hidden,
        )

    def write(self) -> None:
        """Put the changes into the model and drop what nothing reads any more."""
        graph = self.model.graph
        nodes = [self.replacement.get(id(n), n) for n in graph.node if id(n) not in self.dropped]
        while True:
            used = {i for n in nodes for i in n.input} | {o.name for o in graph.output}
            kept = [n for n in nodes if any(o in used for o in n.output)]
            if len(kept) == len(nodes):
                break
            nodes = kept
        _replace_nodes(self.model, nodes)
        tensors = [TensorProto.FromString(i.SerializeToString()) for i in graph.initializer if i.name in used]
        del graph.initializer[:]
        graph.initializer.extend(tensors)
        graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in self.fresh.items())

    def _source(self, name: str, through: str = "") -> str:
        """The initializer that `name` comes from, along first inputs; a `through` node ends the walk."""
        while name not in self.value and (node := self.producer.get(name)) is not None:
            name = node.input[0]
            if node.op_type == through:
                break
        return name

    def _weight(self, name: str, scale: str, zero: str, axis: int) -> np.ndarray[Any, Any]:
        stored = self.value[name].astype(np.float32)
        scales, zeros = (self.value[n].astype(np.float32) for n in (scale, zero))
        shape = [1] * stored.ndim
        shape[axis] = -1
        return (stored - zeros.reshape(shape)) * scales.reshape(shape)

    def _per_gate(self, name: str) -> np.ndarray[Any, Any]:
        value = self.value[name].astype(np.float32)
        return value[:, None, :] if value.ndim == 2 else value.reshape(-1, 1, 1)


def _replace_nodes(model: onnx.ModelProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(n.SerializeToString()) for n in nodes]  # they may be owned by the graph
    del model.graph.node[:]
    model.graph.node.extend(copies)

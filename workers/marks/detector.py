"""The trained reader of cells: a small convolutional network that says where a mark raised or lowered the energy.

It sees log band energies in frames and nothing of the key: it was trained (benches/mark_training) to maximise the
correlation of its output with the pattern in marked speech that codecs, telephones, noise and made-up rooms had
damaged. The weights lie beside this file; the graph is built from them here. One thread, so that the same audio gives
the same evidence each time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from workers.audio.sessions import open_session
from workers.marks.spectrum import BANDS, SLOT, Floats

WEIGHTS = Path(__file__).with_name("detector.npz")
_DILATIONS = (1, 2, 4, 1)  # slots, as in benches/mark_training/train.py
_SLOPE = 0.1  # of the leaky rectifiers
_OPSET, _IR = 17, 8
_BLOCK = 4000  # frames at once: bounds the working memory
REACH = SLOT * (sum(_DILATIONS) + 2)  # frames to each side that an output depends on, rounded up to slots


def features(energies: Floats) -> Floats:
    """What the network sees of energies in dB (frames, BANDS): (3, frames, BANDS), levels in units of 10 or 20 dB.

    Relative to each band's mean, to the peak of all, and to each band's floor.
    """
    peak = np.percentile(energies, 99).astype(np.float32)
    floor = np.percentile(energies, 10, axis=0).astype(np.float32)
    centred = (energies - energies.mean(axis=0)) / 10
    above = np.clip((energies - peak) / 20, -3, 1), np.clip((energies - floor) / 20, -1, 2)
    return np.stack([centred, *above]).astype(np.float32)


def evidence(energies: Floats, alignments: int = SLOT) -> Floats:
    """Energies in dB (frames, BANDS) made into evidence (frames, BANDS): of the slot that begins at each frame.

    Of no unit: only the proportions within one piece of audio mean something. Where it is known that slots begin at
    frame 0, `alignments` of 1 gives the evidence of whole slots alone, (slots, BANDS), at a fifth of the cost.
    """
    frames = len(energies)
    if frames < SLOT:
        return np.zeros((0, BANDS), np.float32)
    seen = np.pad(features(energies), ((0, 0), (REACH, REACH + -frames % SLOT), (0, 0)), mode="edge")
    edge = REACH * alignments // SLOT
    out = [
        _session(alignments).run(None, {"x": seen[None, :, begin : begin + _BLOCK + 2 * REACH]})[0][0, 0, edge:-edge]
        for begin in range(0, frames, _BLOCK)
    ]
    return np.concatenate(out)[: frames * alignments // SLOT]


@cache
def _session(alignments: int) -> onnxruntime.InferenceSession:
    with np.load(WEIGHTS) as weights:
        return open_session(_graph(dict(weights), alignments).SerializeToString())


def _graph(weights: dict[str, Floats], alignments: int) -> onnx.ModelProto:
    """The network for any number of frames that is a multiple of SLOT: at every frame, or at every fifth as trained.

    After the stem, the alignments of slots to frames (SLOT or 1 of them) are items of a batch.
    """
    channels = len(weights["stem.bias"])
    constants = {
        **weights,
        "apart": np.array([channels, -1, alignments, BANDS]),
        "together": np.array([1, 1, -1, BANDS]),
    }
    stem = weights["stem.weight"].shape[2]
    before = (stem - SLOT) // 2
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "stem.weight", "stem.bias"],
            ["c"],
            pads=[before, 0, stem - 1 - before, 0],
            strides=[SLOT // alignments, 1],
        ),
        helper.make_node("Add", ["c", "band"], ["b"]),
        helper.make_node("LeakyRelu", ["b"], ["s"], alpha=_SLOPE),
        helper.make_node("Reshape", ["s", "apart"], ["r"]),
        helper.make_node("Transpose", ["r"], ["h0"], perm=[2, 0, 1, 3]),
    ]
    for k, d in enumerate(_DILATIONS):
        names = [f"h{k}", f"blocks.{k}.weight", f"blocks.{k}.bias"]
        nodes += [
            helper.make_node("Conv", names, [f"c{k}"], pads=[d, 1, d, 1], dilations=[d, 1]),
            helper.make_node("LeakyRelu", [f"c{k}"], [f"a{k}"], alpha=_SLOPE),
            helper.make_node("Add", [f"h{k}", f"a{k}"], [f"h{k + 1}"]),
        ]
    nodes += [
        helper.make_node("Conv", [f"h{len(_DILATIONS)}", "last.weight", "last.bias"], ["l"]),
        helper.make_node("Transpose", ["l"], ["t"], perm=[1, 2, 0, 3]),
        helper.make_node("Reshape", ["t", "together"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "frames", BANDS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, "frames", BANDS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)

"""How a style speaks: its pitch and its rate, measured on fixed sentences by the front of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workers.engines.base import Floats
from workers.engines.kokoro import model
from workers.engines.kokoro.graph import VOICED_ABOVE
from workers.engines.phonemes import phonemise

SENTENCES = (
    ("After the rain stopped, we opened all the windows and let the cool air in.", 18),
    ("Have you ever seen a market so busy on a Monday morning?", 16),
    ("It was not the first time that she had heard the story, but she listened.", 18),
)
"""Sentences with the number of their syllables."""

EDGE_SECONDS = 0.55
"""Silence that Kokoro puts around a sentence, together; left out of the speaking rate."""


@dataclass(frozen=True)
class Manner:
    """Mean, median and standard deviation of ln(F0 in Hz), voiced; syllables a second at speed 1."""

    log_mean: float
    log_median: float
    log_sd: float
    rate: float


def measure(prosody: model.Prosody, style: Callable[[int], Floats]) -> Manner:
    """The manner of a voice; `style` gives its (256,) vector for a number of phonemes."""
    voiced, seconds, syllables = [], 0.0, 0
    for sentence, count in SENTENCES:
        ids = model.tokens(phonemise(sentence, "en-us"))
        contour = prosody.contour(ids, style(len(ids)))
        voiced.append(np.log(contour[contour > VOICED_ABOVE]))
        seconds += contour.size / model.F0_RATE - EDGE_SECONDS
        syllables += count
    log_f0 = np.concatenate(voiced)
    if log_f0.size == 0:
        raise ValueError("The style has no voiced frame.")
    return Manner(float(log_f0.mean()), float(np.median(log_f0)), float(log_f0.std()), syllables / max(seconds, 0.5))

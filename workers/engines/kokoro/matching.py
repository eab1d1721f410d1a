"""Voice matching: the style vector whose sound is nearest to a sample, in closed form.

Timbre: the table holds a linear model from timbre and pitch to two speaker embeddings. It is inverted for the
sample's embeddings with a Gaussian prior on the timbre, the distribution of the 54 stock voices:
z = argmin |by_z z - (e - bias - by_pitch * p)|^2 + STRENGTH |z|^2.
Prosody: a blend of the English stock voices nearest in pitch, liveliness and rate. Pitch and rate themselves
are then measured on the result and set exactly, in the graph and by its speed input.

It finds a voice that Kokoro can speak and that resembles the sample; it does not clone accent or rhythm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workers.engines.base import EngineError, Floats, VoiceSample
from workers.engines.kokoro.calibration import Manner
from workers.engines.kokoro.table import Style, Table

STRENGTH = 0.002
"""Weight of the prior; a much greater one makes every voice the mean voice."""
LARGEST_Z = 1.0
"""Bound on the rms of z; stock voices have about 0.6, and speech breaks up far beyond them."""
HALF = 128
PITCH_RANGE = (60.0, 400.0)
"""Hz that a sample's median F0 may have."""
_RATIO_RANGE = (0.6, 1.5)
_SPEED_RANGE = (0.85, 1.2)
_BLENDED = 3
_MANNER_SCALE = np.array([0.25, 0.08, 0.5], np.float32)  # ln Hz, ln Hz, syllables a second: a just notable difference
_TYPICAL_RATE = 4.6  # syllables a second, the stock voices' median, for samples of unknown rate
_ENGLISH = ("a", "b")  # first letters of the names of American and British packs


@dataclass(frozen=True)
class Delivery:
    """Pitch control inputs of the graph (natural log of Hz) and speed factor that give a style its manner."""

    mu: float = 0.0
    ratio: float = 1.0
    shift: float = 0.0
    speed: float = 1.0


def match(table: Table, sample: VoiceSample) -> Style:
    """The style nearest to the sample. Raises EngineError for impossible figures."""
    embedding = _checked(sample)
    style = _nearest_manner(table, sample)
    z = timbre_point(table, embedding, math.log(sample.f0_median))
    mean, slopes = style.mean.copy(), style.slopes.copy()
    mean[:HALF] = table.timbre_mean + table.timbre_factor @ z
    slopes[:, :HALF] = 0.0  # the regression knows the timbre of usual lengths only
    return Style(mean, slopes, style.rows)


def timbre_point(table: Table, embedding: Floats, log_f0: float, strength: float = STRENGTH) -> Floats:
    """z (128,) for both embeddings in a row (512,) and the pitch, see the module's text."""
    explained = table.bias + table.by_pitch * np.float32(log_f0 - table.pitch_centre)
    normal = table.by_z.T @ table.by_z + strength * np.eye(HALF, dtype=np.float32)
    z = np.linalg.solve(normal, table.by_z.T @ (embedding - explained))
    size = float(np.sqrt(np.mean(z**2)))
    return np.asarray(z * min(1.0, LARGEST_Z / max(size, 1e-9)), np.float32)


def delivery(table: Table, own: Manner, sample: VoiceSample) -> Delivery:
    """How a style with the manner `own` must be driven to have the sample's pitch, liveliness and rate."""
    ratio = float(np.clip(sample.f0_log_sd / max(own.log_sd, 1e-3), *_RATIO_RANGE))
    centred = (own.log_median - own.log_mean) * ratio + own.log_mean
    speed = float(np.clip(sample.rate / table.heard_rate / own.rate, *_SPEED_RANGE)) if sample.rate else 1.0
    return Delivery(own.log_mean, ratio, math.log(sample.f0_median) - centred, speed)


def _nearest_manner(table: Table, sample: VoiceSample) -> Style:
    """A blend of the English packs nearest in manner, the nearest weighing most."""
    english = np.array([i for i, name in enumerate(table.names) if name[0] in _ENGLISH])
    rate = sample.rate / table.heard_rate if sample.rate else _TYPICAL_RATE
    wanted = np.array([math.log(sample.f0_median), sample.f0_log_sd, rate], np.float32)
    distance = np.linalg.norm((table.manners[english] - wanted) / _MANNER_SCALE, axis=1)
    order = np.argsort(distance, kind="stable")[:_BLENDED]
    weight = 1.0 / (distance[order] + 0.5)
    weight = (weight / weight.sum()).astype(np.float32)
    chosen = english[order]
    return Style(
        np.tensordot(weight, table.means[chosen], 1),
        np.tensordot(weight, table.slopes[chosen], 1),
        table.rows,
    )


def _checked(sample: VoiceSample) -> Floats:
    low, high = PITCH_RANGE
    if not low <= sample.f0_median <= high:
        raise EngineError(
            f"The sample's pitch of {sample.f0_median:.0f} Hz is not that of a speaking voice ({low:.0f} to "
            f"{high:.0f} Hz): use a sample of clear speech."
        )
    if not 0.0 <= sample.f0_log_sd < math.inf or (sample.rate is not None and not 0.0 < sample.rate < math.inf):
        raise EngineError("The sample's pitch spread or speaking rate could not be measured: use clear speech.")
    try:
        parts = [np.asarray(sample.embeddings[name], np.float32) for name in ("d-vector", "resemblyzer")]
    except KeyError as missing:
        raise EngineError(f"Voice matching needs the speaker embedding {missing}.") from missing
    if any(p.shape != (256,) or not np.isfinite(p).all() or not 0.9 < np.linalg.norm(p) < 1.1 for p in parts):
        raise EngineError("A speaker embedding must be a unit vector of 256 numbers.")
    return np.concatenate(parts)

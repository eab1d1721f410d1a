"""Builds voices.npz, the table of stock voices and of voice matching. Maintainers run it; users get the file.

    python -m workers.engines.kokoro.build_table render PACKS.npz CLIPS.npz
    python -m workers.engines.kokoro.build_table fit PACKS.npz CLIPS.npz voices.npz

PACKS.npz holds hexgrad's 54 voice packs (Apache-2.0), each (510, 256): row n-1 is the style for n phonemes,
its first half timbre, its second half prosody. `render` speaks CLIPS sentences in stock, mixed and random
timbres at random pitch; `fit` embeds them with both speaker encoders and fits embedding = linear(timbre, log
pitch). All is seeded.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.audio.prosody import prosody
from workers.audio.resample import resample
from workers.audio.speakers import DVector, Resemblyzer
from workers.engines.base import Floats
from workers.engines.kokoro import model
from workers.engines.kokoro.calibration import EDGE_SECONDS, measure
from workers.engines.kokoro.graph import VOICED_ABOVE
from workers.engines.kokoro.table import Style
from workers.engines.phonemes import phonemise

SEED = 82
MADE_UP = 24
"""Clips in timbres that are no pack's; with the 54 packs 78."""
PENALTIES = (3.0, 10.0, 30.0, 100.0)
HALF = 128
"""Width of the timbre half of a style."""
TYPICAL_ROWS = slice(20, 61)
"""Rows for 20 to 60 phonemes, where sentences are; the timbre of a pack is their mean."""
RANK = 8
"""Directions kept of how packs change over their 510 rows."""
CLIP_SENTENCES = (
    ("Several old friends walked quickly along the river.", 13),
    ("My brother would rather have bread and cheese today.", 12),
    ("The yellow house on the hill belongs to a judge.", 12),
    ("She thought about the long voyage for a moment.", 12),
    ("Please bring five more chairs into the other room.", 11),
    ("Nobody knew where the grey horse had gone.", 10),
)
"""Sentences with the number of their syllables."""


def main(arguments: list[str]) -> None:
    """Run one of the two stages; see the module's text."""
    stage, packs_file, clips_file, *rest = arguments
    packs = load_packs(Path(packs_file))
    if stage == "render":
        render(packs, Path(clips_file))
    else:
        fit(packs, Path(clips_file), Path(rest[0]))


def load_packs(path: Path) -> dict[str, Floats]:
    """The packs by name, float32 (510, 256)."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in sorted(stored.files)}


def timbres(packs: dict[str, Floats]) -> Floats:
    """(packs, 128): the timbre half of each pack at usual lengths."""
    return np.stack([pack[TYPICAL_ROWS, :HALF].mean(0) for pack in packs.values()])


def prior(packs: dict[str, Floats]) -> tuple[Floats, Floats]:
    """Mean (128,) and factor (128, 128): timbre = mean + factor @ z; a typical voice has rms z 0.6."""
    points = timbres(packs)
    covariance = np.cov(points.T)
    shrunk = 0.85 * covariance + 0.15 * np.diag(np.diag(covariance))
    return points.mean(0), np.linalg.cholesky(shrunk).astype(np.float32)


@dataclass(frozen=True)
class Clip:
    """What to speak for the regression: a timbre z (128,), the pack whose prosody goes with it, ln Hz, a sentence."""

    z: Floats
    pack: str
    log_f0: float
    sentence: str


def plan(packs: dict[str, Floats]) -> list[Clip]:
    """All clips: the stock packs, then mixes that reach beyond them and random draws of the same size, in turn."""
    mean, factor = prior(packs)
    names = list(packs)
    stock = np.linalg.solve(factor, (timbres(packs) - mean).T).T
    clips = []
    for i in range(len(names) + MADE_UP):
        rng = np.random.default_rng((SEED, i))  # its own, so that a longer plan begins like a shorter one
        log_f0 = float(rng.uniform(np.log(85.0), np.log(230.0)))
        if i < len(names):
            z, name = stock[i], names[i]
        elif i % 2:
            chosen = stock[rng.choice(len(names), 3, replace=False)]
            z, name = rng.uniform(0.8, 1.8) * rng.dirichlet(np.full(3, 0.7)) @ chosen, str(rng.choice(names))
        else:
            z, name = rng.standard_normal(HALF) * rng.uniform(0.4, 0.8), str(rng.choice(names))
        clips.append(Clip(z.astype(np.float32), name, log_f0, CLIP_SENTENCES[i % len(CLIP_SENTENCES)][0]))
    return clips


def render(packs: dict[str, Floats], target: Path) -> None:
    """Speak all clips and keep their audio, 16-bit at 24 kHz, one after the other."""
    speaker, front = model.Speaker(), model.Prosody()
    clips = []
    for clip in plan(packs):
        clips.append(speak(packs, clip, speaker, front))
        sys.stderr.write(f"\r{len(clips)} clips")
    np.savez_compressed(target, lengths=np.array([c.size for c in clips]), audio=np.concatenate(clips))


def speak(packs: dict[str, Floats], clip: Clip, speaker: model.Speaker, front: model.Prosody) -> NDArray[np.int16]:
    """One clip, its pitch moved to the planned one."""
    mean, factor = prior(packs)
    ids = model.tokens(phonemise(clip.sentence, "en-us"))
    style = np.concatenate([mean + factor @ clip.z, packs[clip.pack][len(ids) - 1, HALF:]])
    contour = front.contour(ids, style)
    shift = clip.log_f0 - float(np.median(np.log(contour[contour > VOICED_ABOVE])))
    audio = speaker.speak(ids, style, 1.0, 0.0, 1.0, shift)
    return (np.clip(audio, -1, 1) * 32767).astype(np.int16)


def fit(packs: dict[str, Floats], rendered: Path, target: Path) -> None:
    """Fit the table to the rendered clips and write it."""
    mean, factor = prior(packs)
    clips = plan(packs)
    z = np.array([clip.z for clip in clips], np.float64)
    log_f0 = np.array([clip.log_f0 for clip in clips])
    with np.load(rendered, allow_pickle=False) as stored:
        audio = np.split(stored["audio"], np.cumsum(stored["lengths"])[:-1])
    heard = [resample((a / 32768).astype(np.float32), model.SAMPLE_RATE, 16_000) for a in audio]
    embeddings = _embed(heard)
    centre = float(log_f0.mean())
    inputs = np.hstack([z, (log_f0 - centre)[:, None]])
    penalty = min(PENALTIES, key=lambda p: _held_out_error(inputs, embeddings, p))
    coefficients, bias = _ridge(inputs, embeddings, penalty)
    means, slopes, rows = compress(packs)
    front = model.Prosody()
    manners = [measure(front, Style(m, s, rows).at) for m, s in zip(means, slopes, strict=True)]
    np.savez_compressed(
        target,
        names=np.array(list(packs)),
        means=means.astype(np.float32),
        slopes=slopes.astype(np.float16),
        rows=rows.astype(np.float16),
        timbre_mean=mean.astype(np.float32),
        timbre_factor=factor.astype(np.float32),
        bias=bias.astype(np.float32),
        by_z=coefficients[:HALF].T.astype(np.float16),
        by_pitch=coefficients[HALF].astype(np.float32),
        pitch_centre=np.float32(centre),
        heard_rate=np.float32(_heard_rate(heard)),
        manners=np.array([[m.log_median, m.log_sd, m.rate] for m in manners], np.float32),
    )
    error = _held_out_error(inputs, embeddings, penalty)
    sys.stderr.write(f"{len(z)} clips, penalty {penalty}, held-out cosine {1 - error:.3f}\n")


def compress(packs: dict[str, Floats]) -> tuple[Floats, Floats, Floats]:
    """Means (n, 256), slopes (n, RANK, 256) and rows (510, RANK) with pack = mean + rows @ slopes."""
    stacked = np.stack(list(packs.values()))
    means = stacked.mean(axis=1)
    moved = (stacked - means[:, None]).transpose(1, 0, 2).reshape(stacked.shape[1], -1)
    left, sizes, right = np.linalg.svd(moved, full_matrices=False)
    scale = np.sqrt(len(left))  # rows of about 1, so that float16 holds both factors well
    slopes = (sizes[:RANK, None] / scale * right[:RANK]).reshape(RANK, len(stacked), -1).transpose(1, 0, 2)
    return means, slopes, left[:, :RANK] * scale


def _embed(clips: list[Floats]) -> NDArray[np.float64]:
    """(clips, 512): d-vector, then Resemblyzer, each of length 1."""
    encoders = (DVector(), Resemblyzer())
    return np.array([np.concatenate([e.embed(clip) for e in encoders]) for clip in clips], np.float64)


def _heard_rate(clips: list[Floats]) -> float:
    """Syllables counted in the audio for each true one: what measured rates must be divided by."""
    true = [CLIP_SENTENCES[i % len(CLIP_SENTENCES)][1] for i in range(len(clips))]
    seconds = [clip.size / 16_000 - EDGE_SECONDS for clip in clips]
    return float(np.median([prosody(c).rate * s / n for c, s, n in zip(clips, seconds, true, strict=True)]))


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (inputs, outputs) and bias of the least squares with `penalty` on the squared
    coefficients.
    """
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - x_mean
    normal = centred.T @ centred + penalty * np.eye(x.shape[1])
    coefficients = np.linalg.solve(normal, centred.T @ (y - y_mean))
    return coefficients, y_mean - x_mean @ coefficients


def _held_out_error(x: NDArray[np.float64], y: NDArray[np.float64], penalty: float, folds: int = 6) -> float:
    """Mean over clips and encoders of 1 - cosine, each clip predicted from the other folds."""
    fold = np.random.default_rng(SEED).permutation(len(x)) % folds
    predicted = np.empty_like(y)
    for held in range(folds):
        coefficients, bias = _ridge(x[fold != held], y[fold != held], penalty)
        predicted[fold == held] = x[fold == held] @ coefficients + bias
    return float(np.mean([1 - _cosine(predicted[:, s], y[:, s]) for s in (slice(0, 256), slice(256, 512))]))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


if __name__ == "__main__":
    main(sys.argv[1:])

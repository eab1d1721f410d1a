"""The benchmark of tracing: its attacks do the same in every run, its intervals are right, its report hides nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.provenance.detection.receipts import error_rates
from benches.trace.attacks import RATE, load
from benches.trace.materials import Materials
from benches.trace.measure import Answer
from benches.trace.quality import Costs
from benches.trace.report import Run, figures, tables
from benches.trace.scores import at_most, wilson
from benches.trace.suite import suite
from benches.trace.tracer import Alone, Traced

SPEECH = Path(__file__).parents[1] / "data" / "speech"
NOBODY = Traced("no_evidence", "", "", "", "", 1.0, None, None, 1.0)
NAMED = Traced("confirmed", "clip", "ada", "clip", "mark", 1e-9, None, None, 1.0)


@pytest.fixture(scope="module")
def materials() -> Materials:
    """Everything that attacks add, made up."""
    found = Materials(Path("nowhere"))
    rng = np.random.default_rng(3)
    sounds = [rng.normal(0, 0.1, 3 * RATE).astype(np.float32) for _ in range(7)]
    room = (rng.normal(size=RATE // 4) * np.exp(-np.arange(RATE // 4) / 800)).astype(np.float32)
    found.__dict__.update(others=sounds, noises=sounds, rooms={f"rir{k}": room for k in (1, 2, 3, 4)})
    found.__dict__.update(_beds=dict.fromkeys(range(6), sounds[0]))
    return found


def test_attacks_do_the_same_in_every_run_and_leave_audio_of_a_sane_length(materials: Materials) -> None:
    audio = load(next(iter(sorted(SPEECH.rglob("*.flac")))))[: int(1.5 * RATE)]
    for attack in suite():
        if attack.costly:  # some of these need a command that not every machine has
            continue
        once, again = (attack.apply(audio, materials, "a clip") for _ in range(2))
        assert np.array_equal(once, again), attack.key
        assert once.dtype == np.float32, attack.key
        assert np.all(np.isfinite(once)), attack.key
        assert 0.5 < len(once) / len(audio) < 1.5, attack.key


def test_an_attack_of_another_name_or_on_another_clip_has_chances_of_its_own() -> None:
    first, second = suite()[:2]
    draws = {attack.chance(name).random() for attack in (first, second) for name in ("one", "other")}
    assert len(draws) == 4


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_the_interval_is_that_of_newcombes_examples(hits: int, of: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3; 29 of 29 is 0 of 29 turned around."""
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_the_upper_bound_of_none_is_the_rule_of_three() -> None:
    assert at_most(0, 30_000) == pytest.approx(1 - 0.05 ** (1 / 30_000), rel=1e-6)
    assert at_most(1, 1) == 1.0


def answer(**changes: object) -> Answer:
    """A copy that was traced, by all channels and by the mark alone."""
    alone = Alone(True, False, 11.0)
    traced = Answer("none", "copies", "a", "af", "f", 5.0, "clip", "ada", NAMED, alone, None, 0.1)
    return replace(traced, **changes)  # type: ignore[arg-type]


def run(*answers: Answer) -> Run:
    """A run with these answers only."""
    attacks = [attack for attack in suite() if attack.key == "none"]
    return Run("make bench-trace", attacks, answers, 1, 1, 10, 10, [], Costs(0, 0, 0), None, 1.0, "2026-01-01T00:00:00")


def test_a_wrong_name_and_a_missed_goal_are_said_and_counted(tmp_path: Path) -> None:
    stranger = answer(population="human speech", truth="", account="", traced=replace(NAMED, account="bob"), alone=None)
    missed = answer(traced=NOBODY, alone=Alone(False, False, 2.0))
    said = tables(run(answer(), missed, stranger))
    assert "| as delivered, cut | all channels | 99.5 % | 50.0 % | 9.5-90.5 | 2 | **missed** |" in said
    assert "| human speech | 1 | 1 | 1.0e+00 |" in said
    (path := tmp_path / "measured.json").write_text(json.dumps(figures(run(answer(), missed, stranger))))
    rates = error_rates(path)
    assert isinstance(rates, dict), "receipts state what the benchmark writes"
    assert (rates["miss_rate_after_common_copies"], rates["false_positive_bound"]) == (0.5, 1.0)

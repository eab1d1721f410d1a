"""Asks every question and writes down every answer: one line of JSON each, in a file for each attack."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benches.trace.attacks import RATE, Floats
from benches.trace.queries import POPULATIONS, Question, Source, attacked, questions
from benches.trace.suite import Attack
from benches.trace.tracer import Alone, Traced, Tracer


@dataclass(frozen=True)
class Answer:
    """One question and what was answered."""

    attack: str
    population: str
    name: str
    voice: str
    sex: str
    seconds: float
    truth: str
    account: str
    traced: Traced
    alone: Alone | None
    misplaced: float | None
    """Seconds between where the clip begins in the query and where it was found; None where that is not asked."""
    took: float
    """Processor seconds of the trace."""

    @property
    def right(self) -> bool:
        """The very generation was named."""
        return bool(self.truth) and self.traced.named == self.truth

    @property
    def wrong(self) -> bool:
        """An account was named that did not make this."""
        return bool(self.traced.named) and self.traced.account != self.account


@dataclass(frozen=True)
class Plan:
    """Which questions are asked, and how."""

    attacks: Sequence[Attack]
    populations: Sequence[str] = POPULATIONS
    every: int = 1
    """Of the copies of attacks without a target, one in so many is asked about."""
    every_other: int = 1
    """Of the negatives, one in so many."""


def measure(source: Source, tracer: Tracer, plan: Plan, kept: Path, copies: Path, processes: int) -> list[Answer]:
    """Every answer, in the order of the plan.

    Answers of an earlier run of the same code are read from the folder `kept`, which is of one service; attacked copies
    from `copies`.
    """
    global _state
    tasks = [(attack, population) for population in plan.populations for attack in plan.attacks]
    _state = (source, tracer, kept, copies, plan, tasks)
    answers: list[Answer] = []
    begun = time.monotonic()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for number, found in enumerate(pool.imap(_task, range(len(tasks))), 1):
            answers += found
            attack, population = tasks[number - 1]
            right, wrong = sum(a.right for a in found), sum(a.wrong for a in found)
            spent = time.monotonic() - begun
            print(
                f"[{number}/{len(tasks)} {spent:.0f} s] {population} {attack.key}: {len(found)} asked, {right} traced,"
                f" {wrong} wrong, alone {sum(a.alone is not None and a.alone.right for a in found)}",
                flush=True,
            )
    return answers


_state: tuple[Source, Tracer, Path, Path, Plan, list[tuple[Attack, str]]]
"""What the processes need: they inherit it, for attacks hold functions and can't be sent to them."""


def _task(number: int) -> list[Answer]:
    source, tracer, kept, folder, plan, tasks = _state
    attack, population = tasks[number]
    path = kept / tracer.version / f"{population}-{attack.key}-{plan.every}-{plan.every_other}.jsonl"
    if path.exists():
        return [_answer(json.loads(line)) for line in path.read_text().splitlines()]
    asked = _chosen(questions(source, attack, population), attack, population, plan)
    copies = attacked(asked, attack, source.materials, folder)
    answers = [_ask(tracer, attack, *pair) for pair in zip(asked, copies, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text("".join(json.dumps(asdict(answer)) + "\n" for answer in answers))
    part.rename(path)
    return answers


def _chosen(asked: list[Question], attack: Attack, population: str, plan: Plan) -> list[Question]:
    if population == "others":
        return asked[:: plan.every_other]
    if population == "copies" and attack.target is None and attack.target_alone is None:
        return asked[:: plan.every]
    return asked


def _ask(tracer: Tracer, attack: Attack, question: Question, copy: Floats) -> Answer:
    start = time.process_time()
    positive = bool(question.truth)
    traced = tracer.trace(copy) if positive else tracer.trace_cheaply(copy, question.name)
    took = time.process_time() - start
    misplaced = _misplaced(traced, attack.place(question.name), question.begin) if attack.placed and positive else None
    return Answer(
        attack=attack.key,
        population=question.population,
        name=question.name,
        voice=question.voice,
        sex=question.sex,
        seconds=len(copy) / RATE,
        truth=question.truth,
        account=question.account,
        traced=traced,
        alone=tracer.alone(copy, question.truth, stretched=attack.stretched) if _alone_too(attack, question) else None,
        misplaced=misplaced,
        took=took,
    )


def _alone_too(attack: Attack, question: Question) -> bool:
    """Whether the mark alone is asked as well: of what needs the long search only for a share of the copies."""
    share = 1 if not attack.stretched else 2 if attack.target_alone is not None else 6
    return question.population == "copies" and zlib.crc32(question.name.encode()) % share == 0


def _misplaced(traced: Traced, place: float, begin: float) -> float | None:
    """How far from `place` in the query the answer puts second `begin` of the clip; None when it gives no place."""
    if traced.query_from is None or traced.original_from is None:
        return None
    return abs(traced.query_from + (begin - traced.original_from) / traced.speed - place)


def _answer(kept: dict[str, object]) -> Answer:
    alone = kept.pop("alone")
    traced = kept.pop("traced")
    return Answer(
        **kept,  # type: ignore[arg-type]
        traced=Traced(**traced),  # type: ignore[arg-type]
        alone=Alone(**alone) if alone is not None else None,  # type: ignore[arg-type]
    )


def peak_memory() -> float:
    """The most memory that this process and its children held, in MB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024

"""The tables of docs/provenance.md, its plots, and the figures that public pages state."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benches.trace.measure import Answer
from benches.trace.quality import Costs, Sound
from benches.trace.scores import at_most, percent, wilson
from benches.trace.service import STOCK_VOICES
from benches.trace.suite import Attack
from benches.trace.svg import Bar, bars

PAGE, IMAGES, MEASURED = Path("docs/provenance.md"), Path("docs/images"), Path("app/provenance/measured.json")
BEGIN, END = "<!-- bench-trace: begin -->", "<!-- bench-trace: end -->"
_PLACED_WITHIN = 0.5
_PACKAGES = ("numpy", "scipy", "soxr", "av", "onnxruntime")


@dataclass(frozen=True)
class Run:
    """Everything that was measured."""

    command: str
    attacks: Sequence[Attack]
    answers: Sequence[Answer]
    clips: int
    voices: int
    tags: int
    compared: int
    sounds: Sequence[Sound]
    costs: Costs
    index: Mapping[str, Any] | None
    """What benches/fingerprint_scale.py wrote."""
    memory_mb: float
    made_at: str = ""

    @property
    def copies(self) -> list[Answer]:
        """Of clips that were made once."""
        return [each for each in self.answers if each.population == "copies"]

    @property
    def strangers(self) -> list[Answer]:
        """What was not made here."""
        return [each for each in self.answers if not each.truth]

    def of(self, attack: Attack) -> list[Answer]:
        """The copies of one attack."""
        return [each for each in self.copies if each.attack == attack.key]


def write(run: Run) -> None:
    """Put the tables between the marks of the page, and write plots and figures."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(run)}\n{END}{after}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "provenance-attacks.svg").write_text(plot(run))
    MEASURED.write_text(json.dumps(figures(run), indent=1) + "\n")


def tables(run: Run) -> str:
    """All generated sections."""
    parts = (_about, _targets, _every_attack, _groups, _twins, _strangers, _places, _quality, _index)
    return "\n".join(part(run) for part in parts)


def figures(run: Run) -> dict[str, Any]:
    """What the detection page and receipts state."""
    common = {attack.key for attack in run.attacks if attack.common}
    asked = [each for each in run.copies if each.attack in common]
    missed = sum(not each.right for each in asked)
    wrong = sum(each.wrong for each in run.answers)
    return {
        "made_at": run.made_at,
        "command": run.command,
        "miss_rate_after_common_copies": round(missed / max(len(asked), 1), 4),
        "miss_rate_at_most": round(at_most(missed, len(asked)), 4) if asked else 1.0,
        "common_copies_tried": len(asked),
        "false_positive_bound": float(f"{at_most(sum(e.wrong for e in run.strangers), len(run.strangers)):.1e}"),
        "negatives_tried": len(run.strangers),
        "wrong_accounts_named": wrong,
    }


def plot(run: Run) -> str:
    """Attacks that have a target: traced, and by the mark alone."""
    rows = []
    for attack in run.attacks:
        found = run.of(attack)
        if found and (attack.target is not None or attack.target_alone is not None):
            hits, of = sum(each.right for each in found), len(found)
            rows.append(Bar(attack.label, hits / of, *wilson(hits, of), _share(_asked_alone(found), _alone)))
    return bars("Copies traced to the very clip", ("all channels, with 95 % interval", "the mark alone"), rows)


def _alone(answer: Answer) -> bool:
    return answer.alone is not None and answer.alone.right


def _asked_alone(answers: Sequence[Answer]) -> list[Answer]:
    """Those in which the mark alone was asked too."""
    return [each for each in answers if each.alone is not None]


def _share(answers: Sequence[Answer], holds: Callable[[Answer], bool]) -> float:
    return sum(map(holds, answers)) / max(len(answers), 1)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] + ["---:"] * (len(head) - 1)) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _interval(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{low * 100:.1f}-{high * 100:.1f}"


def _about(run: Run) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"""## The run

`{run.command}`, {run.made_at[:10]}, on {os.cpu_count()} cores ({platform.machine()}),
Python {platform.python_version()}, {versions}.

{run.clips} clips of the engine in {run.voices} voices (stock voices that everybody may use, and others that stand in for
voices of one account, five of them matched to real people) were stamped by the code that stamps every delivery, and cut and
attacked as they were delivered; {len(run.answers):,} queries in all. A query is 5 s from a random place of a clip before
the attack, unless a row says otherwise. The mark was searched for among {run.tags:,} tags: the bound that accepts it
counts all of them, {run.compared:,} were really compared (those that were issued and random ones), and the rest could
have added one wrong answer in 10,000 queries at most. The process took {run.memory_mb:,.0f} MB at most.
"""  # noqa: E501


def _targets(run: Run) -> str:
    rows = []
    for attack in run.attacks:
        found = run.of(attack)
        for goal, hit, name in ((attack.target, _right, "all channels"), (attack.target_alone, _alone, "mark alone")):
            if goal is None or not found:
                continue
            asked = found if hit is _right else _asked_alone(found)
            hits, of = sum(map(hit, asked)), len(asked)
            if of:
                verdict = "reached" if hits / of >= goal else "**missed**"
                share, limits = percent(hits / of), _interval(hits, of)
                rows.append((attack.label, name, percent(goal), share, limits, str(of), verdict))
    wrong, tried = sum(each.wrong for each in run.strangers), len(run.strangers)
    said = "reached" if not wrong and tried >= 30_000 else "**missed**"
    rows.append(
        (
            "wrong account named, of what is not ours",
            "all channels",
            "0 of 30,000",
            str(wrong),
            f"at most {at_most(wrong, tried):.1e}",
            f"{tried:,}",
            said,
        )
    )
    head = ("attack", "by", "goal", "traced", "95 % interval", "queries", "")
    return f"## Goals\n\nEvery goal that was set before anything was measured.\n\n{_table(head, rows)}"


def _right(answer: Answer) -> bool:
    return answer.right


def _every_attack(run: Run) -> str:
    parts = ["## Every attack\n"]
    parts.append(
        "Traced: the very clip was named. Account: its account was. Abstained: nobody was named. Wrong: another account"
        " was. The mark alone: without index, words and stored originals; it is searched for over speed, tempo and"
        " pitch only in rows where those change, and there in a share of the queries.\n"
    )
    for section in dict.fromkeys(attack.section for attack in run.attacks):
        rows = []
        for attack in (each for each in run.attacks if each.section == section):
            found = run.of(attack)
            if found:
                rows.append(_row(attack, found))
        if rows:
            head = ("attack", "queries", "traced", "95 %", "account", "abstained", "wrong", "mark alone", "95 %")
            parts.append(f"### {section}\n\n{_table(head, rows)}")
    parts.append("![Copies traced to the very clip, by attack](images/provenance-attacks.svg)\n")
    return "\n".join(parts)


def _row(attack: Attack, found: Sequence[Answer]) -> tuple[str, ...]:
    of, hits, asked = len(found), sum(map(_right, found)), _asked_alone(found)
    alone = sum(map(_alone, asked))
    account = sum(each.traced.account == each.account for each in found)
    abstained, wrong = sum(not each.traced.named for each in found), sum(each.wrong for each in found)
    shares = (percent(hits / of), _interval(hits, of), percent(account / of), percent(abstained / of), str(wrong))
    by_mark = (percent(alone / len(asked)), _interval(alone, len(asked))) if asked else ("-", "-")
    return attack.label, str(of), *shares, *by_mark


def _groups(run: Run) -> str:
    goals = {attack.key for attack in run.attacks if attack.target is not None}
    asked = [each for each in run.copies if each.attack in goals]
    groups: dict[str, list[Answer]] = {
        "female voices": [each for each in asked if each.sex == "f"],
        "male voices": [each for each in asked if each.sex == "m"],
        "voices of one account": [each for each in asked if each.voice not in STOCK_VOICES],
        "stock voices": [each for each in asked if each.voice in STOCK_VOICES],
        "matched to real people": [each for each in asked if each.voice.startswith("real")],
    }
    for voice in sorted({each.voice for each in asked}):
        groups[voice] = [each for each in asked if each.voice == voice]
    named = list(groups)[:5]
    worst = sorted(list(groups)[5:], key=lambda name: _share(groups[name], _right))[:5]
    rows = []
    for name in [*named, *worst]:
        found = groups[name]
        hits, of, asked_alone = sum(map(_right, found)), len(found), _asked_alone(found)
        alone = sum(map(_alone, asked_alone))
        if of and asked_alone:
            label = f"voice {name}" if name in worst else name
            shares = (
                percent(hits / of),
                _interval(hits, of),
                percent(alone / len(asked_alone)),
                _interval(alone, len(asked_alone)),
            )
            rows.append((label, str(of), *shares))
    head = ("group", "queries", "traced", "95 %", "mark alone", "95 %")
    said = "Over all attacks that have a goal; the five voices that fare worst below."
    return f"## Voices\n\n{said}\n\n{_table(head, rows)}"


def _twins(run: Run) -> str:
    rows = []
    for attack in run.attacks:
        found = [each for each in run.answers if each.population == "twins" and each.attack == attack.key]
        if found:
            hits, wrong = sum(map(_right, found)), sum(each.wrong for each in found)
            unsure = sum(each.traced.verdict == "ambiguous" for each in found)
            rest = len(found) - hits - wrong - unsure
            rows.append((attack.label, str(len(found)), percent(hits / len(found)), str(unsure), str(rest), str(wrong)))
    head = ("attack", "queries", "traced", "ambiguous", "other abstentions", "wrong")
    return f"""## Twins

The same voice said the same words for three accounts, so that nothing but the mark tells their clips apart. Which of
them it was is never guessed.

{_table(head, rows)}"""


def _strangers(run: Run) -> str:
    rows = []
    for population in dict.fromkeys(each.population for each in run.strangers):
        found = [each for each in run.strangers if each.population == population]
        wrong = sum(each.wrong for each in found)
        leads = sum(each.traced.verdict == "lead" for each in found)
        unsure = sum(each.traced.verdict == "ambiguous" for each in found)
        bound = f"{at_most(wrong, len(found)):.1e}"
        rows.append((population, f"{len(found):,}", str(wrong), bound, str(leads), str(unsure)))
    wrong, tried = sum(each.wrong for each in run.strangers), len(run.strangers)
    rows.append(("all", f"{tried:,}", str(wrong), f"{at_most(wrong, tried):.1e}", "", ""))
    of_ours = sum(each.wrong for each in run.answers if each.truth)
    tried_ours = sum(bool(each.truth) for each in run.answers)
    head = ("what", "queries", "wrong account named", "95 %: at most", "leads", "ambiguous")
    return f"""## What is not ours

Through the same attacks (those that take long to make: one in six). In one of sixty the mark was searched for over
speed, tempo and pitch as well, and none was transcribed: the search is held by a bound that is proven for any audio,
and words never name anybody. Among the {tried_ours:,} copies
of our own clips a wrong account was named {of_ours} times.

{_table(head, rows)}"""


def _places(run: Run) -> str:
    rows = []
    for attack in (each for each in run.attacks if each.placed):
        found = [each for each in run.of(attack) if each.right]
        near = [each for each in found if each.misplaced is not None and each.misplaced <= _PLACED_WITHIN]
        known = [each.misplaced for each in found if each.misplaced is not None]
        if found:
            middle = f"{np.median(known):.3f} s" if known else "-"
            rows.append((attack.label, str(len(found)), percent(len(near) / len(found)), middle))
    if not rows:
        return ""
    head = ("attack", "traced", f"placed within {_PLACED_WITHIN} s", "median error")
    return f"## Where in the query\n\n{_table(head, rows)}"


def _quality(run: Run) -> str:
    sounds = run.sounds
    if not sounds:
        return ""
    scores = [each.pesq for each in sounds if each.pesq is not None]
    coded = [each.pesq_mp3 for each in sounds if each.pesq_mp3 is not None]
    changes = [each.change for each in sounds]
    prefers = {name: sum(each.preferred == name for each in sounds) for name in ("plain", "marked", "neither")}
    decided = prefers["plain"] + prefers["marked"]
    rows = [
        ("PESQ-WB, mean", f"{np.mean(scores):.2f}" if scores else "not measured", "4.4"),
        ("PESQ-WB, worst", f"{min(scores):.2f}" if scores else "not measured", "4.2"),
        (
            "PESQ-WB of the unmarked clip as MP3 64k, to compare",
            f"{np.mean(coded):.2f}" if coded else "not measured",
            "",
        ),
        ("DNSMOS, mean change", f"{np.mean(changes):+.3f}", "-0.10"),
        ("DNSMOS, worst change", f"{min(changes):+.3f}", ""),
        ("log-spectral distance, mean", f"{np.mean([each.distance for each in sounds]):.2f} dB", ""),
        ("embedding, share of real time on one core", f"{run.costs.embed:.2%}", "5 %"),
        ("plain reading, share of real time on one core", f"{run.costs.read:.2%}", "1 %"),
    ]
    return f"""## Sound and cost of the mark

{len(sounds)} clips over all voices, as delivered, against the same clips without a mark.

{_table(("", "measured", "goal"), rows)}
A judge who does not know which of two is marked (DNSMOS; nearer than 0.005 counts as equal) preferred the unmarked clip
{prefers["plain"]} times, the marked one {prefers["marked"]} times, and neither {prefers["neither"]} times. Of the decided
ones {_interval(prefers["plain"], decided)} % are for the unmarked (95 % interval); 50 % would be no difference.
"""  # noqa: E501


def _index(run: Run) -> str:
    took = [each.took for each in run.copies if each.seconds < 8]
    speed = (
        f"A query of 5 s took {np.median(took):.2f} s of one core at the median, {np.max(took):.1f} s at most."
        if took
        else ""
    )
    if run.index is None:
        return f"## Size and time of the index\n\n{speed} How the index grows was not measured in this run.\n"
    rows = [
        (
            f"{each['clips']:,}",
            f"{each['synthetic']:,}",
            f"{each['megabytes_per_hour']['index']}",
            f"{each['seconds_median']} s",
            f"{each['seconds_most']} s",
            f"{each['memory_most_mb']:,} MB",
            f"{each['found']} of {each['queries']}",
        )
        for each in run.index["at"]
    ]
    head = ("clips", "of them synthetic", "MB an hour", "query, median", "query, most", "memory", "found")
    return f"""## Size and time of the index

{speed}
How the index grows (benches/fingerprint_scale.py: queries of 10 s with noise 10 dB below, half of them 5 % faster;
synthetic entries tell sizes and times, and no rates of errors):

{_table(head, rows)}"""


def today() -> str:
    """Now, as the figures state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""How well copies are traced, measured. `make bench-trace` runs it; docs/provenance.md has its tables.

    python -m benches.trace --corpus FOLDER --shared ../shared

Speaks the corpus with the engine if FOLDER does not have it (half an hour), stamps it in a service of its own, attacks
what was delivered, and traces the copies. All that it makes is kept in --work, so a second run is quick: copies as
long as the stamped clips are the same, answers as long as the code is. Nothing in the repository changes without
--write.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benches.trace import attacks
from benches.trace.corpus import CATALOGUE, Spoken, catalogue
from benches.trace.materials import Materials
from benches.trace.measure import Answer, Plan, measure, peak_memory
from benches.trace.quality import costs, has_pesq, sounds
from benches.trace.queries import POPULATIONS, Source
from benches.trace.report import Run, today, write
from benches.trace.service import fingerprint_of_sources, open_service
from benches.trace.suite import QUICK, suite
from benches.trace.tracer import COMPARED, Tracer

TAGS = 10_000_000
QUICK_VOICES = 2


def main() -> None:
    """The command."""
    options = _options()
    if missing := attacks.missing_tools():
        sys.exit(
            f"Some attacks can't be made here. Missing: {', '.join(missing)}. On Debian: ffmpeg, libavcodec-extra."
        )
    if not (options.corpus / CATALOGUE).exists():
        _render(options.corpus, options.shared)
    clips = _some(catalogue(options.corpus), QUICK_VOICES if options.quick else options.voices)
    name = f"service-{fingerprint_of_sources()}-{len(clips)}"
    settings, made = open_service(options.work / name, options.corpus, clips, options.processes)
    storage = settings.data_dir / "storage"
    source = Source(options.corpus, clips, made, storage, Materials(options.shared, options.quick))
    tracer = Tracer(settings, storage, options.tags, options.compared)
    keys = QUICK if options.quick else options.only
    plan = Plan(
        attacks=[attack for attack in suite() if not keys or attack.key in keys],
        populations=options.populations,
        every=options.every,
        every_other=options.every_other,
    )
    answers = measure(source, tracer, plan, settings.data_dir / "answers", options.work / "copies", options.processes)
    _summary(answers)
    if options.write:
        run = Run(
            command=options.command,
            attacks=plan.attacks,
            answers=answers,
            clips=len(made),
            voices=len({each.voice for each in made}),
            tags=options.tags,
            compared=options.compared,
            sounds=sounds(made, clips, options.corpus, storage, settings.data_dir / "sounds.json"),
            costs=costs(made, clips, options.corpus),
            index=json.loads(options.index.read_text()) if options.index else None,
            memory_mb=peak_memory(),
            made_at=today(),
        )
        write(run)
        if not has_pesq():
            print("PESQ was not measured: the package `pesq` is not installed.")


def _summary(answers: list[Answer]) -> None:
    ours = [each for each in answers if each.truth]
    wrong = [each for each in answers if each.wrong]
    print(
        f"{len(ours)} copies: {sum(each.right for each in ours)} traced; {len(answers) - len(ours)} of others;", end=" "
    )
    print(f"a wrong account named {len(wrong)} times")
    for each in wrong[:20]:
        print(f"wrong: {each.attack}, {each.population}, {each.name}, {each.traced.verdict} by {each.traced.channel}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path(".cache/bench-trace/corpus"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of given recordings")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-trace"), help="what is kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="two voices and five attacks: does it still work?")
    parser.add_argument("--voices", type=int, default=0, help="only so many voices")
    parser.add_argument("--only", nargs="*", default=[], help="keys of attacks")
    parser.add_argument("--populations", nargs="*", default=list(POPULATIONS), choices=POPULATIONS)
    parser.add_argument("--every", type=int, default=3, help="of copies without a target, one in so many")
    parser.add_argument("--every-other", type=int, default=1, help="of the negatives, one in so many")
    parser.add_argument("--tags", type=int, default=TAGS, help="that the mark is searched for among")
    parser.add_argument("--compared", type=int, default=COMPARED, help="of these tags, so many are really compared")
    parser.add_argument("--index", type=Path, help="what benches.fingerprint_scale wrote")
    parser.add_argument("--command", default="python -m benches.trace", help="how the page says it was run")
    parser.add_argument("--write", action="store_true", help="write docs/provenance.md, plots and measured.json")
    return parser.parse_args()


def _render(corpus: Path, shared: Path) -> None:
    print(f"Speaking the corpus into {corpus}: some half an hour.", flush=True)
    command = [sys.executable, "-m", "benches.trace.corpus", str(corpus), "--shared", str(shared)]
    subprocess.run(command, check=True)


def _some(clips: list[Spoken], voices: int) -> list[Spoken]:
    """Those of so many voices, spread over all; of all for 0."""
    names = sorted({clip.voice for clip in clips})
    if not voices or voices >= len(names):
        return clips
    kept = {names[k * len(names) // voices] for k in range(voices)}
    return [clip for clip in clips if clip.voice in kept]


if __name__ == "__main__":
    main()

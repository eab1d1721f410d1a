"""How well copies are traced, measured. `make bench-trace` runs it; docs/provenance.md has its tables.

    python -m benches.trace --corpus FOLDER --shared ../shared

Speaks the corpus with the engine if FOLDER does not have it (half an hour), stamps it in a service of its own, attacks
what was delivered, and traces the copies. All that it makes is kept in --work, so a second run is quick: copies as
long as the stamped clips are the same, answers as long as the code is. Nothing in the repository changes without
--write.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benches.trace import attacks
from benches.trace.corpus import CATALOGUE, Spoken, catalogue
from benches.trace.materials import Materials
from benches.trace.measure import Plan, measure
from benches.trace.queries import POPULATIONS, Source
from benches.trace.service import fingerprint_of_sources, open_service
from benches.trace.suite import QUICK, suite
from benches.trace.tracer import Tracer

TAGS = 10_000_000
QUICK_VOICES = 3


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
    tracer = Tracer(settings, storage, options.tags)
    keys = QUICK if options.quick else options.only
    plan = Plan(
        attacks=[attack for attack in suite() if not keys or attack.key in keys],
        populations=options.populations,
        every=options.every,
        every_other=options.every_other,
    )
    measure(source, tracer, plan, options.work, options.processes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path(".cache/bench-trace/corpus"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of given recordings")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-trace"), help="what is kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="three voices and five attacks: does it still work?")
    parser.add_argument("--voices", type=int, default=0, help="only so many voices")
    parser.add_argument("--only", nargs="*", default=[], help="keys of attacks")
    parser.add_argument("--populations", nargs="*", default=list(POPULATIONS), choices=POPULATIONS)
    parser.add_argument("--every", type=int, default=2, help="of copies without a target, one in so many")
    parser.add_argument("--every-other", type=int, default=1, help="of the negatives, one in so many")
    parser.add_argument("--tags", type=int, default=TAGS, help="that the mark is searched for among")
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

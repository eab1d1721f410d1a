"""How the index of fingerprints grows: size, time of a query and resident memory at 10^4, 10^5 and 10^6 clips.

    python -m benches.fingerprint_scale CLIPS --folder /tmp/scale --out result.json [--sizes 10000 100000]

CLIPS is a folder of benches.trace.corpus: real clips of the engine, which the queries are cut from. The other entries
are SYNTHETIC: clips of 8 seconds whose pairs are drawn from those of the real clips, each moved a little, so that the
lists behind codes are as uneven as real ones are. Synthetic entries tell sizes and times, and no rates of errors.
Queries are 10 seconds, mixed with white noise 10 dB below, half of them 5 % faster; all variants of speed, tempo and
pitch are searched, and the best candidates verified. A process of its own asks them, so that its memory is that of
asking.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from benches.trace.corpus import Spoken, catalogue
from workers.index import Index, segment
from workers.marks import fingerprint
from workers.marks.alignment import verify
from workers.marks.fingerprint import Query, parse
from workers.marks.landmarks import GAP_LEAST, GAP_MOST, STEP_MOST, STORED_PAIRS

Floats = NDArray[np.float32]
RATE = 24_000
SECONDS = 8
QUERY_SECONDS, QUERIES = 10, 8
FIRST_SYNTHETIC = 1_000_000
PAIRS = SECONDS * STORED_PAIRS
CLIPS_PER_SEGMENT = segment.MOST_POSTINGS // PAIRS
GAPS, STEPS = GAP_MOST - GAP_LEAST + 1, 2 * STEP_MOST + 1
MOVED = 3  # bins and frames that a drawn pair is moved by, at most


def load(clips: Path, spoken: Spoken) -> Floats:
    """A clip, mono at RATE. Read directly: the decoder for strangers' files starts a process for each."""
    with wave.open(str(clips / f"{spoken.name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def build(folder: Path, real: dict[int, bytes], clips: int, rng: np.random.Generator) -> Index:
    """An index of the real fingerprints and so many synthetic clips that there are `clips`."""
    shutil.rmtree(folder, ignore_errors=True)
    index = Index(folder)
    index.add(real.items())
    pool = np.concatenate([parse(data).pairs.code for data in real.values()])
    number, left = FIRST_SYNTHETIC, clips - len(real)
    names = [each.path.relative_to(folder).as_posix() for each in index.segments]
    while left > 0:
        count = min(left, CLIPS_PER_SEGMENT)
        items = np.zeros(count, segment.ITEM)
        items["number"] = number + np.arange(count)
        names.append(index._write("0000-00", len(names) + 1, items, synthetic(pool, count, rng)))
        number, left = number + count, left - count
    index._publish(type(index._listed)(next=len(names) + 1, names=tuple(names)))
    return index


def synthetic(pool: NDArray[np.int32], clips: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Sorted postings of so many made-up clips."""
    drawn = pool[rng.integers(len(pool), size=clips * PAIRS)].astype(np.int64)
    low, rest = np.divmod(drawn, STEPS * GAPS)
    step, gap = np.divmod(rest, GAPS)
    for part, most in ((low, 182), (step, STEPS - 1), (gap, GAPS - 1)):
        part += rng.integers(-MOVED, MOVED + 1, size=len(part), dtype=np.int8)
        np.clip(part, 0, most, out=part)
    code = ((low * STEPS + step) * GAPS + gap).astype(np.uint64)
    item = np.repeat(np.arange(clips, dtype=np.uint64), PAIRS)
    frame = rng.integers(SECONDS * 100, size=len(code), dtype=np.uint16).astype(np.uint64)
    postings = (code << np.uint64(40)) | (item << np.uint64(16)) | frame
    postings.sort()
    return postings


def ask(folder: Path, clips: Path, prints: Path) -> dict[str, Any]:
    """Ask all queries of one index: times, memory, and how many were found."""
    stored = {int(name): bytes(data) for name, data in np.load(prints).items()}
    index, rng, times, right = Index(folder), np.random.default_rng(1), [], 0
    before, cpu = most_memory(), time.process_time()
    for count, (number, spoken) in enumerate(long_clips(clips)):
        pcm = load(clips, spoken)[: QUERY_SECONDS * RATE]
        pcm = pcm + rng.standard_normal(len(pcm)).astype(np.float32) * np.float32(pcm.std() * 10**-0.5)
        if count % 2:
            pcm = np.asarray(soxr.resample(pcm, 1.05 * RATE, RATE), np.float32)
        start = time.perf_counter()
        query = Query(pcm, RATE)
        candidates = index.search(query, thorough=True)
        checked = [verify(query, stored[each.number], each) for each in candidates if each.number in stored]
        times.append(time.perf_counter() - start)
        right += any(each is not None and each.number == number for each in checked)
    return {
        "queries": len(times),
        "found": right,
        "seconds_median": round(float(np.median(times)), 3),
        "seconds_most": round(max(times), 3),
        "cpu_seconds_mean": round((time.process_time() - cpu) / len(times), 3),
        "memory_before_mb": before,
        "memory_most_mb": most_memory(),
    }


def most_memory() -> int:
    """The most that this process ever had resident, mapped files included, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def long_clips(clips: Path) -> list[tuple[int, Spoken]]:
    """The clips that queries are cut from, with their numbers."""
    long = [(n, each) for n, each in enumerate(catalogue(clips)) if each.seconds >= QUERY_SECONDS]
    return long[:: max(len(long) // QUERIES, 1)][:QUERIES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="Where the indexes are built: some 3.5 GB.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    prints = options.folder / "prints.npz"
    if options.ask:
        sys.stdout.write(json.dumps(ask(options.folder / "index", options.clips, prints)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    start, seconds, real = time.perf_counter(), 0.0, {}
    for number, spoken in enumerate(catalogue(options.clips)):
        pcm = load(options.clips, spoken)
        real[number], seconds = fingerprint.make(pcm, RATE), seconds + len(pcm) / RATE
    made = (time.perf_counter() - start) / seconds
    np.savez(prints, **{str(number): np.frombuffer(data, np.uint8) for number, data in real.items()})
    row = sum(len(data) for data in real.values()) / seconds
    rows = []
    for size in options.sizes:
        start = time.perf_counter()
        index = build(options.folder / "index", real, size, np.random.default_rng(size))
        built, bytes_ = time.perf_counter() - start, index.size
        del index
        command = [sys.executable, "-m", "benches.fingerprint_scale", str(options.clips), "--ask"]
        done = subprocess.run([*command, "--folder", str(options.folder)], check=True, capture_output=True, text=True)
        per_second = bytes_ / (size * SECONDS)
        rows.append(
            {
                "clips": size,
                "synthetic": size - len(real),
                "index_bytes": bytes_,
                "megabytes_per_hour": {
                    "index": round(per_second * 0.0036, 3),
                    "rows": round(row * 0.0036, 3),
                    "together": round((per_second + row) * 0.0036, 3),
                },
                "built_seconds": round(built, 1),
                **json.loads(done.stdout),
            }
        )
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.flush()
    shutil.rmtree(options.folder / "index")
    result = {
        "real_clips": len(real),
        "real_seconds": round(seconds),
        "making_of_real_time": round(made, 5),
        "at": rows,
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

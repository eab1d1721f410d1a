"""Measures the keyed mark: traced share and z after each attack, sound quality, and cost.

OMP_NUM_THREADS=1 python -m benches.watermark --shared ../shared --clips 40

Needs recordings that the repository does not hold: speech (flac), rooms and noise (wav), in folders of those
names below --shared. PESQ is measured where the package `pesq` can be imported. Every clip has another tag
and all are searched among 10^5 random ones; "traced" means accepted by the rule of workers/marks/matching.py,
"wrong" that another tag was accepted.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr
from scipy.signal import fftconvolve

from workers.audio.noise import cleanness
from workers.marks import assure
from workers.marks.detect import Search
from workers.marks.matching import ACCEPT_BOUND, Match, accept_z, nearest
from workers.marks.spectrum import RATE, Floats, power, stft
from workers.marks.stream import STRENGTH_DB
from workers.marks.watermark import Watermark

SECONDS = 5
TAGS = 100_000
Attack = Callable[[Floats], tuple[Floats, int]]


def load(source: Path | io.BytesIO, rate: int = RATE) -> Floats:
    """Any audio file as mono float32."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(source, "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def encoded(audio: Floats, codec: str, container: str, bits: int = 0, rate: int = RATE) -> tuple[Floats, int]:
    """Through a codec at a sample rate, and back to 16 kHz."""
    file = io.BytesIO()
    samples = np.clip(np.round(soxr.resample(audio, RATE, rate) * 32767), -32768, 32767).astype(np.int16)
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if bits:
            stream.bit_rate = bits
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 0)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        out.mux([packet for piece in [*pieces, None] for packet in stream.encode(piece)])
    file.seek(0)
    return load(file), RATE


def filtered(audio: Floats, name: str, options: str) -> tuple[Floats, int]:
    """Through a filter of libavfilter."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=RATE, layout="mono", time_base=Fraction(1, RATE))
    step, sink = graph.add(name, options), graph.add("abuffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(audio[None], format="flt", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
    graph.push(frame)
    graph.push(None)
    out = []
    while True:
        try:
            out.append(graph.pull().to_ndarray()[0])
        except av.EOFError:
            return np.concatenate(out), RATE


def speed(audio: Floats, factor: float) -> tuple[Floats, int]:
    """Played faster: pitch and time together."""
    return np.asarray(soxr.resample(audio, RATE * factor, RATE), np.float32), RATE


def pitch(audio: Floats, semitones: float) -> tuple[Floats, int]:
    """Higher at the same length."""
    factor = 2 ** (semitones / 12)
    return filtered(speed(audio, factor)[0], "atempo", str(1 / factor))


def added(audio: Floats, other: Floats, snr_db: float) -> tuple[Floats, int]:
    """With another sound, `snr_db` below the speech."""
    other = np.resize(other, len(audio))
    gain = np.sqrt(np.mean(audio**2) / np.mean(other**2) / 10 ** (snr_db / 10))
    return np.asarray(audio + gain * other, np.float32), RATE


def room(audio: Floats, response: Floats) -> tuple[Floats, int]:
    """In a room, microphone at a distance."""
    wet = fftconvolve(audio, response)[: len(audio)]
    return np.asarray(wet / np.max(np.abs(wet)) * 0.7, np.float32), RATE


def phone_mp3(audio: Floats) -> tuple[Floats, int]:
    """A telephone call, kept as MP3."""
    narrow, rate = assure.telephone(audio, RATE)
    return encoded(np.asarray(soxr.resample(narrow, rate, RATE), np.float32), "libmp3lame", "mp3", 64_000)


def cut(audio: Floats, seconds: float) -> Floats:
    """A piece from the middle."""
    begin = (len(audio) - int(seconds * RATE)) // 2
    return audio[begin : begin + int(seconds * RATE)]


def attacks(shared: Path, others: list[Floats]) -> dict[str, tuple[Attack, Search]]:
    """Name -> (attack, the search that is meant to find it)."""
    rng = np.random.default_rng(7)
    white = rng.normal(size=SECONDS * RATE).astype(np.float32)
    babble = np.sum([np.resize(other / np.std(other), SECONDS * RATE) for other in others[:6]], axis=0)
    table: dict[str, tuple[Attack, Search]] = {
        "none": (lambda a: (a, RATE), "plain"),
        "polarity, -12 dB": (lambda a: (-0.25 * a, RATE), "plain"),
        "MP3 64k": (lambda a: encoded(a, "libmp3lame", "mp3", 64_000), "plain"),
        "MP3 32k": (lambda a: encoded(a, "libmp3lame", "mp3", 32_000), "plain"),
        "AAC 64k": (lambda a: encoded(a, "aac", "adts", 64_000), "plain"),
        "Opus 24k": (lambda a: encoded(a, "libopus", "ogg", 24_000), "plain"),
        "Opus 12k": (lambda a: encoded(a, "libopus", "ogg", 12_000), "plain"),
        "telephone G.711": (lambda a: assure.telephone(a, RATE), "plain"),
        "telephone G.711, MP3 64k": (phone_mp3, "plain"),
        "AMR-NB 12.2k": (lambda a: encoded(a, "libopencore_amrnb", "amr", 12_200, 8000), "plain"),
        "AMR-NB 4.75k": (lambda a: encoded(a, "libopencore_amrnb", "amr", 4_750, 8000), "plain"),
        "cut 3 s, MP3 64k": (lambda a: encoded(cut(a, 3), "libmp3lame", "mp3", 64_000), "plain"),
        "cut 2 s, MP3 64k": (lambda a: encoded(cut(a, 2), "libmp3lame", "mp3", 64_000), "plain"),
        "white noise 20 dB": (lambda a: added(a, white, 20), "plain"),
        "white noise 10 dB": (lambda a: added(a, white, 10), "plain"),
        "babble 10 dB": (lambda a: added(a, babble, 10), "plain"),
        "other speech 0 dB": (lambda a: added(a, others[7], 0), "plain"),
        "inside 60 s of other speech": (
            lambda a: (np.concatenate([np.resize(others[8], 27 * RATE), a, np.resize(others[9], 28 * RATE)]), RATE),
            "plain",
        ),
        "denoised 20 dB": (lambda a: filtered(a, "afftdn", "nr=20"), "plain"),
        "speed 1.05": (lambda a: speed(a, 1.05), "full"),
        "speed 0.907": (lambda a: speed(a, 0.907), "full"),
        "tempo 1.10": (lambda a: filtered(a, "atempo", "1.10"), "full"),
        "pitch +1 semitone": (lambda a: pitch(a, 1), "full"),
    }
    for path in sorted((shared / "rir").glob("*.wav")):
        response = load(path)
        table[f"room {path.stem}"] = (lambda a, response=response: room(a, response), "plain")
    for path in sorted((shared / "noise").glob("*.wav"))[:1]:
        noise = load(path)
        table[f"{path.stem} 10 dB"] = (lambda a, noise=noise: added(a, noise, 10), "plain")
    return table


def log_spectral_distance(a: Floats, b: Floats) -> float:
    """Rms difference of log spectra in dB over frames and bins within 50 dB of the peak."""
    first, second = (10 * np.log10(power(stft(x)) + 1e-9) for x in (a, b))
    return float(np.sqrt(np.mean((first - second)[first > first.max() - 50] ** 2)))


def quality(pairs: list[tuple[Floats, Floats]]) -> None:
    """Prints what the mark does to the sound."""
    changes = [cleanness(marked).overall - cleanness(plain).overall for plain, marked in pairs]
    distances = [log_spectral_distance(plain, marked) for plain, marked in pairs]
    print(f"\nDNSMOS overall: change {np.mean(changes):+.3f} on average, {min(changes):+.3f} at worst")
    print(f"log-spectral distance: {np.mean(distances):.2f} dB on average, {max(distances):.2f} at worst")
    if importlib.util.find_spec("pesq"):
        from pesq import pesq

        scores = [pesq(RATE, plain, marked, "wb") for plain, marked in pairs]
        print(f"PESQ-WB: {np.mean(scores):.2f} on average, {min(scores):.2f} at worst")


def search(mark: Watermark, audio: Floats, rate: int, tags: np.ndarray, kind: Search) -> Match:
    """The best match, which every clip of this bench has."""
    match = nearest(mark.read(audio, rate, kind), tags)
    assert match is not None
    return match


def robustness(
    mark: Watermark, clips: list[Floats], table: dict[str, tuple[Attack, Search]], tags: np.ndarray, full: int
) -> None:
    """Prints a row for each attack."""
    print("\n| attack | n | traced | wrong | z mean | z least |\n| --- | --- | --- | --- | --- | --- |")
    for name, (attack, kind) in table.items():
        chosen = clips[:full] if kind == "full" else clips
        found = [search(mark, *attack(clip), tags, kind) for clip in chosen]
        right = [m.accepted and m.index == i for i, m in enumerate(found)]
        wrong = [m.accepted and m.index != i for i, m in enumerate(found)]
        z = [m.z if m.index == i else 0.0 for i, m in enumerate(found)]
        share = f"{np.mean(right):.1%}"
        print(f"| {name} | {len(chosen)} | {share} | {sum(wrong)} | {np.mean(z):.1f} | {min(z):.1f} |", flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call: what it costs of one core, also on a busy machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--speech", default="speech/cohort", help="folder of flac files below --shared")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--full", type=int, default=10, help="clips for the attacks that need the full search")
    parser.add_argument("--strength", type=float, default=STRENGTH_DB, help="dB")
    options = parser.parse_args()

    files = sorted((options.shared / options.speech).rglob("*.flac"))
    loaded = [clip for clip in map(load, files) if len(clip) >= SECONDS * RATE]
    plain = [clip[: SECONDS * RATE] for clip in loaded[: options.clips]]
    others = loaded[-12:]
    rng = np.random.default_rng(0)
    tags = rng.integers(0, 256, (TAGS, 16), dtype=np.uint8)
    mark = Watermark(rng.bytes(32))
    marked = [mark.embed(clip, RATE, tags[i].tobytes(), options.strength) for i, clip in enumerate(plain)]
    print(f"{len(plain)} clips of {SECONDS} s, {options.strength} dB, {TAGS} tags;", end=" ")
    print(f"accepted from z {accept_z(TAGS, 8):.2f}: at most {ACCEPT_BOUND} wrong matches expected in a search")

    total = len(plain) * SECONDS
    embed_s = seconds(lambda: [mark.embed(clip, RATE, tags[0].tobytes()) for clip in plain])
    read_s = seconds(lambda: [mark.read(clip, RATE) for clip in marked])
    full_s = seconds(lambda: mark.read(marked[0], RATE, "full"))
    readings = mark.read(marked[0], RATE)
    nearest_s = seconds(lambda: nearest(readings, tags))
    checked_s = seconds(lambda: assure.embed_checked(mark, plain[0], RATE, tags[0].tobytes()))
    print(f"share of real time on one core: embed {embed_s / total:.2%}, plain read {read_s / total:.2%},", end=" ")
    print(f"full read {full_s / SECONDS:.1%}, embed with self-test {checked_s / SECONDS:.1%};", end=" ")
    print(f"nearest of {TAGS} tags {nearest_s * 1000:.0f} ms")

    unmarked = [search(mark, clip, RATE, tags, "plain") for clip in loaded]
    accepted = sum(match.accepted for match in unmarked)
    print(f"unmarked: {len(unmarked)} clips, largest z {max(m.z for m in unmarked):.2f}, accepted {accepted}")
    quality(list(zip(plain, marked, strict=True)))
    robustness(mark, marked, attacks(options.shared, others), tags, options.full)


if __name__ == "__main__":
    main()

"""How near voice matching comes: one table over real speakers.

    python -m benches.voice_match SPEECH_FOLDER [--others FOLDER]

SPEECH_FOLDER has one folder of recordings per speaker. The voice is matched to every second recording (60 s at most)
and judged on the others, by the two encoders that the matching uses: the similarities are of unheard recordings and
sentences, but not of an unheard encoder. "self" is the speaker's two halves to each other, "others" the mean over
other people, "nearest" that of the 54 stock voices which the linear model expects nearest to the sample, at its own
pitch. "rank" is the place of the right speaker among all, 1 is best. RTF is seconds of work per second of audio.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from app.voices.rules import word_error_rate
from workers.audio.decode import decode
from workers.audio.prosody import prosody
from workers.audio.resample import resample
from workers.audio.speakers import DVector, Resemblyzer
from workers.audio.transcribe import Transcriber
from workers.audio.vad import cut, speech_segments
from workers.engines.base import Floats, SpeakRequest, VoiceSample
from workers.engines.join import join
from workers.engines.kokoro import engine as kokoro
from workers.engines.kokoro.matching import HALF, Delivery
from workers.engines.kokoro.table import table

RATE = 16_000
SENTENCES = (
    "The children walked slowly home along the river after school had finished.",
    "He asked for a small glass of water and two slices of brown bread.",
    "Tomorrow the weather will be much colder than anybody had expected.",
)
MOST_OTHERS = 10


class Ears:
    """Both encoders; a voice is a pair of unit vectors."""

    def __init__(self) -> None:
        self.encoders = {"d-vector": DVector(), "resemblyzer": Resemblyzer()}

    def hear(self, pcm16k: Floats) -> dict[str, Floats]:
        speech = cut(pcm16k, speech_segments(pcm16k))
        return {name: encoder.embed(speech) for name, encoder in self.encoders.items()}


def recordings(paths: list[Path], seconds: float = 1e9) -> Floats:
    parts = []
    for path in paths:
        decoded = decode(path)
        parts.append(resample(decoded.pcm, decoded.sample_rate, RATE))
    return np.concatenate(parts)[: int(min(seconds * RATE, 1e9))]


def say(engine: kokoro.KokoroEngine, artefact: bytes, texts: tuple[str, ...]) -> tuple[Floats, float]:
    """Speech at 16 kHz and its RTF."""
    started = time.perf_counter()
    pcm, rate = join(engine.speak([SpeakRequest("k", " ".join(texts), "en-us", artefact)]))
    return resample(pcm, rate, RATE), (time.perf_counter() - started) / (pcm.size / rate)


def expected_sounds() -> dict[str, dict[str, Floats]]:
    """What the table's linear model expects each stock voice to sound like, at its own pitch."""
    known, sounds = table(), {}
    for name, mean, manner in zip(known.names, known.means, known.manners, strict=True):
        z = np.linalg.solve(known.timbre_factor, mean[:HALF] - known.timbre_mean)
        both = known.bias + known.by_z @ z + known.by_pitch * (manner[0] - known.pitch_centre)
        parts = {"d-vector": both[:256], "resemblyzer": both[256:]}
        sounds[name] = {encoder: part / np.linalg.norm(part) for encoder, part in parts.items()}
    return sounds


def similar(a: dict[str, Floats], b: dict[str, Floats]) -> tuple[float, float]:
    return float(a["resemblyzer"] @ b["resemblyzer"]), float(a["d-vector"] @ b["d-vector"])


def rank(voice: dict[str, Floats], target: str, people: dict[str, dict[str, Floats]], encoder: str) -> int:
    score = {name: float(person[encoder] @ voice[encoder]) for name, person in people.items()}
    return 1 + sum(s > score[target] for s in score.values())


def main() -> None:
    parser = argparse.ArgumentParser(description="Similarity of matched voices to their speakers.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("--others", type=Path, help="folder of recordings of other people, one each")
    arguments = parser.parse_args()
    ears, engine, transcriber = Ears(), kokoro.KokoroEngine(), Transcriber()
    engine.load()
    stock = expected_sounds()
    samples, people = {}, {}
    for folder in sorted(p for p in arguments.speech.iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.flac"))
        samples[folder.name] = recordings(files[0::2], 60.0)
        people[folder.name] = ears.hear(recordings(files[1::2], 60.0))
    others = sorted(arguments.others.glob("*.flac"))[:MOST_OTHERS] if arguments.others else []
    people.update({path.stem: ears.hear(recordings([path])) for path in others})

    print("similarities are Resemblyzer / d-vector")
    print("speaker  self       others     nearest stock           matched    rank  Hz asked/got  WER   clone s  RTF")
    for name, pcm in samples.items():
        sample_voice, manner = ears.hear(pcm), prosody(pcm)
        sample = VoiceSample(pcm, sample_voice, manner.f0_median, manner.f0_log_sd, manner.rate, "en-us")
        started = time.perf_counter()
        artefact = engine.prepare_voice(sample, lambda _: None)
        seconds = time.perf_counter() - started
        speech, rtf = say(engine, artefact, SENTENCES)
        voice = ears.hear(speech)
        nearest = max(stock, key=lambda s: sum(similar(stock[s], sample_voice)))
        pack = kokoro.voice_artefact("stock", table().style(nearest), Delivery())
        plain = ears.hear(say(engine, pack, SENTENCES)[0])
        strangers = np.mean([similar(people[p], people[name]) for p in people if p != name], axis=0)
        pairs = (
            similar(sample_voice, people[name]),
            strangers,
            similar(plain, people[name]),
            similar(voice, people[name]),
        )
        own, other, stocked, matched = (f"{r:.2f}/{v:.2f}" for r, v in pairs)
        places = "/".join(str(rank(voice, name, people, e)) for e in ("resemblyzer", "d-vector"))
        errors = word_error_rate(" ".join(SENTENCES), transcriber.transcribe(speech, "en").text)
        pitch = f"{manner.f0_median:.0f}/{prosody(speech).f0_median:.0f}"
        print(
            f"{name:8} {own:10} {other:10} {stocked} {nearest:13} {matched:10} {places:5} {pitch:13} {errors:.3f} "
            f"{seconds:7.1f} {rtf:5.2f}",
            flush=True,
        )
    print(f"ranks are among {len(people)} people")


if __name__ == "__main__":
    main()

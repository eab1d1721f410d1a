"""The clips of the benchmark: spoken by the real engine in many voices, unmarked, once; later runs read the files.

    python -m benches.trace.corpus FOLDER --shared ../shared

28 English voices of the engine, and five matched to real speakers (speech/dev below --shared), each with seven clips of
2 to 15 seconds; one text is the same for all voices. FOLDER gets a wav file for each clip, 24 kHz, and clips.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches.trace.texts import text_of
from workers.audio.decode import decode
from workers.audio.encode import encode
from workers.audio.prosody import prosody
from workers.audio.resample import resample
from workers.audio.speakers import voiceprint
from workers.engines.base import SpeakRequest, VoiceSample
from workers.engines.join import join
from workers.engines.kokoro.engine import KokoroEngine, voice_artefact
from workers.engines.kokoro.matching import Delivery
from workers.engines.kokoro.table import table

Floats = NDArray[np.float32]
LENGTHS = (45, 90, 110, 130, 150, 190, 230)
"""Characters of each voice's clips: some 3 to 15 seconds."""
COMMON = 3
"""Which of them says the same in every voice."""
SAMPLE_SECONDS = 60
CATALOGUE = "clips.json"


@dataclass(frozen=True)
class Spoken:
    """One clip of the corpus. `voice` starts with af, am, bf or bm (engine, female or male) or real (matched)."""

    name: str
    voice: str
    sex: str
    text: str
    seconds: float

    def load(self, folder: Path) -> Floats:
        """Mono float32 at 24 kHz."""
        return decode(folder / f"{self.name}.wav").pcm


def catalogue(folder: Path) -> list[Spoken]:
    """The clips that are in a folder."""
    return [Spoken(**each) for each in json.loads((folder / CATALOGUE).read_text())]


def voices(shared: Path, engine: KokoroEngine) -> Iterator[tuple[str, str, bytes]]:
    """(name, sex, artefact)."""
    packs = table()
    for name in packs.names:
        if name[:3] in ("af_", "am_", "bf_", "bm_"):
            yield name, name[1], voice_artefact("stock", packs.style(name), Delivery())
    sexes = _sexes(shared / "speech" / "SPEAKERS.TXT")
    for folder in sorted((shared / "speech" / "dev").iterdir()):
        yield f"real_{folder.name}", sexes[folder.name], engine.prepare_voice(_sample(folder), lambda _: None)


def _sexes(table_of_speakers: Path) -> dict[str, str]:
    rows = [line.split("|") for line in table_of_speakers.read_text().splitlines() if not line.startswith(";")]
    return {row[0].strip(): row[1].strip().lower() for row in rows}


def _sample(folder: Path) -> VoiceSample:
    parts = [decode(path) for path in sorted(folder.glob("*.flac"))]
    pcm = np.concatenate([resample(part.pcm, part.sample_rate, 16_000) for part in parts])[: SAMPLE_SECONDS * 16_000]
    print_of, figures = voiceprint(pcm), prosody(pcm)
    assert print_of is not None
    embeddings = {"d-vector": print_of.dvector, "resemblyzer": print_of.resemblyzer}
    return VoiceSample(pcm, embeddings, figures.f0_median, figures.f0_log_sd, figures.rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    engine = KokoroEngine()
    made: list[Spoken] = []
    for number, (voice, sex, artefact) in enumerate(voices(options.shared, engine)):
        for k, characters in enumerate(LENGTHS):
            text = text_of(k if k == COMMON else 1000 * (number + 1) + k, characters)
            name = f"{voice}-{k}"
            language = "en-gb" if voice.startswith("b") else "en-us"
            pcm, rate = join(engine.speak([SpeakRequest(name, text, language, artefact)]))
            (options.folder / f"{name}.wav").write_bytes(encode(pcm, rate, f"wav_{rate}").data)
            made.append(Spoken(name, voice, sex, text, len(pcm) / rate))
        (options.folder / CATALOGUE).write_text(json.dumps([asdict(each) for each in made], indent=1))
        print(f"{voice}: {sum(each.seconds for each in made):.0f} s in all", flush=True)


if __name__ == "__main__":
    main()

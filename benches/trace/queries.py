"""What is asked: cuts of what was delivered, and of audio that must not be traced; attacked, and kept on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benches.trace.attacks import RATE, Floats, load, resampled
from benches.trace.corpus import Spoken
from benches.trace.materials import Materials, excerpt
from benches.trace.service import FOREIGN, HELD_OUT, STOCK_VOICES, Made, host, place_of
from benches.trace.suite import Attack
from workers.marks.watermark import Watermark

LONG_SECONDS = 9.5  # clips from here on are asked about twice, at two places
_HUMAN_CUTS = 2
_FOREIGN_KEY = b"another service has other keys.."
_RARELY = 6  # one in so many negatives goes through attacks that take long to make


@dataclass(frozen=True)
class Question:
    """Audio before the attack, and the right answer."""

    name: str
    population: str
    audio: Floats
    voice: str = ""
    sex: str = ""
    truth: str = ""
    """Generation that it is a copy of; empty for what must not be traced."""
    account: str = ""
    begin: float = 0.0
    """Where in the stored clip it begins, seconds."""


@dataclass(frozen=True)
class Source:
    """Everything that questions are cut from."""

    corpus: Path
    clips: Sequence[Spoken]
    made: Sequence[Made]
    storage: Path
    """Folder of the service's stored files."""
    materials: Materials

    def copies(self, attack: Attack) -> Iterator[Question]:
        """Of clips that were made once: right is the clip, anything else that is named is wrong."""
        yield from self._of(attack, [made for made in self.made if made.kind != "twin"], "copies")

    def twins(self, attack: Attack) -> Iterator[Question]:
        """Of clips that several accounts made in the same voice with the same words."""
        yield from self._of(attack, [made for made in self.made if made.kind == "twin"], "twins")

    def _of(self, attack: Attack, made: Sequence[Made], population: str) -> Iterator[Question]:
        for each in made:
            if (each.kind == "short") != (attack.shorter_than <= 3.5) or each.seconds < attack.longer_than:
                continue
            audio = self._delivered(each.storage_key)
            for k in range(2 if each.seconds >= LONG_SECONDS and population == "copies" else 1):
                name = f"{each.spoken} {each.account if population == 'twins' else ''}#{k}"
                piece, begin = excerpt(audio, attack.seconds, attack.chance(name + " cut"))
                yield Question(name, population, piece, each.voice, each.sex, each.generation, each.account, begin)

    def _delivered(self, key: str) -> Floats:
        if key not in self._loaded:
            self._loaded[key] = load(io.BytesIO((self.storage / key).read_bytes()))
        return self._loaded[key]

    @cached_property
    def _loaded(self) -> dict[str, Floats]:
        return {}

    def others(self, attack: Attack) -> Iterator[Question]:
        """What was not made here: nobody may be named. Attacks on long or short clips only would repeat others."""
        if attack.longer_than or attack.shorter_than < np.inf:
            return
        for number, (name, population, audio) in enumerate(self._strangers):
            if attack.costly and number % _RARELY:
                continue
            piece, _ = excerpt(audio, attack.seconds, attack.chance(name + " cut"))
            yield Question(name, population, piece)

    @cached_property
    def _strangers(self) -> list[tuple[str, str, Floats]]:
        """(name, population, audio)."""
        found = []
        for name, audio in self.materials.people().items():
            cuts = _HUMAN_CUTS if len(audio) >= 10 * RATE else 1
            found += [(f"{name}#{k}", "human speech", audio) for k in range(cuts)]
        elsewhere = Watermark(_FOREIGN_KEY)
        for spoken in self.clips:
            if place_of(spoken) not in (HELD_OUT, FOREIGN):
                continue
            audio = resampled(host(spoken, self.corpus), 24_000, RATE)
            if place_of(spoken) == FOREIGN:
                if spoken.voice in STOCK_VOICES:
                    found += [(f"{spoken.name}#{k}", "same voice and words, made elsewhere", audio) for k in range(2)]
                continue
            found.append((spoken.name, "same voice, other words, not made here", audio))
            tag = hashlib.sha256(spoken.name.encode()).digest()[:16]
            marked = elsewhere.embed(audio, RATE, tag)
            found.append((f"{spoken.name}+", "marked by another service", marked))
        found += [(name, "music, noise, tones, silence", audio) for name, audio in self.materials.unspoken().items()]
        return found


POPULATIONS = ("copies", "twins", "others")


def questions(source: Source, attack: Attack, population: str) -> list[Question]:
    """Of one of the POPULATIONS."""
    return list(getattr(source, population)(attack))


def attacked(asked: Sequence[Question], attack: Attack, materials: Materials, folder: Path) -> list[Floats]:
    """The attacked copies of questions, from the folder if they are there: as 16 bits, as a file would hold them."""
    digest = hashlib.sha256(attack.key.encode())
    for question in asked:
        digest.update(question.name.encode() + np.ascontiguousarray(question.audio).tobytes())
    digest.update(Path(__file__).with_name("attacks.py").read_bytes())
    digest.update(Path(__file__).with_name("suite.py").read_bytes())
    path = folder / f"{attack.key}-{digest.hexdigest()[:16]}.npz"
    if path.exists():
        with np.load(path) as kept:
            ends, samples = kept["ends"], kept["samples"]
        return [part.astype(np.float32) / np.float32(32767) for part in np.split(samples, ends[:-1])]
    made = [_as_file(attack.apply(question.audio, materials, question.name)) for question in asked]
    if made:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, ends=np.cumsum([len(each) for each in made]), samples=np.concatenate(made))
        part.rename(path)
    return [each.astype(np.float32) / np.float32(32767) for each in made]


def _as_file(audio: Floats) -> np.ndarray:
    return np.round(np.clip(np.nan_to_num(audio), -1, 1) * 32767).astype(np.int16)

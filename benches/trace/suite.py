"""The attacks by name, with what they must show."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benches.trace import attacks
from benches.trace.attacks import RATE, Floats
from benches.trace.materials import Materials

Change = Callable[[Floats, Materials, np.random.Generator], Floats]


@dataclass(frozen=True)
class Attack:
    """One row of the table."""

    key: str
    """Stable: it names cached copies and seeds chance."""
    label: str
    section: str
    change: Change
    target: float | None = None
    """Share that must be traced."""
    target_alone: float | None = None
    """Share that the mark alone must trace."""
    seconds: float = 5.0
    """Of the clip that is attacked."""
    longer_than: float = 0.0
    """Only clips at least so long, in seconds."""
    shorter_than: float = np.inf
    stretched: bool = False
    """Pitch or time changes: the mark alone is searched for over both."""
    common: bool = False
    """Among the copies that people usually meet: counts in the rate that the public detection page states."""
    costly: bool = False
    """Takes long to make: fewer negatives go through it."""
    placed: bool = False
    """Whether the report says how well the place of the clip was found."""

    def apply(self, audio: Floats, materials: Materials, name: str) -> Floats:
        """The attacked copy; `name` of the audio seeds what is random in it."""
        return self.change(audio, materials, self.chance(name))

    def place(self, name: str) -> float:
        """Where the copy begins, seconds, in an attack that is `placed`."""
        return _begin(self.chance(name))

    def chance(self, name: str) -> np.random.Generator:
        """Random numbers of this attack on audio of a name, the same in every run."""
        return np.random.default_rng(zlib.crc32(f"{self.key} {name}".encode()))


def _begin(rng: np.random.Generator) -> float:
    """Where in a minute of other speech a clip begins, seconds."""
    return float(rng.uniform(5, 50))


def _plain(change: Callable[[Floats], Floats]) -> Change:
    return lambda audio, _materials, _rng: change(audio)


def _levels() -> Iterator[Attack]:
    section = "Level, filters, dynamics"
    eq = (("equalizer", "f=250:t=o:w=1:g=8"), ("equalizer", "f=3000:t=o:w=1:g=-8"))
    made: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
        "none": ("as delivered, cut", lambda a: a),
        "gain-20": ("20 dB softer", lambda a: attacks.gained(a, -20)),
        "gain+12": ("12 dB louder, clipped", lambda a: attacks.gained(a, 12)),
        "polarity": ("polarity turned", lambda a: -a),
        "eq": ("EQ +8 dB at 250 Hz, -8 dB at 3 kHz", lambda a: attacks.filtered(a, *eq)),
        "compressor": ("compressor 8:1", lambda a: attacks.filtered(a, ("acompressor", "threshold=0.03:ratio=8"))),
        "limiter": ("limiter at 0.1", lambda a: attacks.filtered(a, ("alimiter", "limit=0.1:level=false"))),
        "loudnorm": ("loudness to -16 LUFS", lambda a: attacks.filtered(a, ("loudnorm", "I=-16"))),
    }
    for key, (label, change) in made.items():
        yield Attack(key, label, section, _plain(change), 0.995, 0.99, common=key != "gain+12")
    more: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
        "bits8": ("8 bits a sample", lambda a: attacks.quantised(a, 8)),
        "bits5": ("5 bits a sample", lambda a: attacks.quantised(a, 5)),
        "hp500": ("high-pass 500 Hz", lambda a: attacks.passed(a, 500, None)),
        "hp1500": ("high-pass 1.5 kHz", lambda a: attacks.passed(a, 1500, None)),
        "lp3400": ("low-pass 3.4 kHz", lambda a: attacks.passed(a, None, 3400)),
        "lp1000": ("low-pass 1 kHz", lambda a: attacks.passed(a, None, 1000)),
        "denoised": ("denoiser 20 dB (afftdn)", lambda a: attacks.filtered(a, ("afftdn", "nr=20"))),
        "nlm": ("denoiser, non-local means", lambda a: attacks.filtered(a, ("anlmdn", "s=0.001"))),
    }
    for key, (label, change) in more.items():
        yield Attack(key, label, section, _plain(change))


def _codecs() -> Iterator[Attack]:
    section = "Codecs"
    for rate in (128, 64, 32):
        change = _plain(partial(attacks.mp3, kilobits=rate))
        yield Attack(f"mp3-{rate}", f"MP3 {rate}k", section, change, 0.995, 0.99, common=True)
    yield Attack("aac-64", "AAC 64k", section, _plain(lambda a: attacks.aac(a, 64)), 0.995, 0.99, common=True)
    for rate in (24, 16):
        change = _plain(partial(attacks.opus, kilobits=rate))
        yield Attack(f"opus-{rate}", f"Opus {rate}k", section, change, 0.995, 0.99, common=True)
    more: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
        "mp3-16": ("MP3 16k", lambda a: attacks.mp3(a, 16)),
        "aac-32": ("AAC 32k", lambda a: attacks.aac(a, 32)),
        "opus-12": ("Opus 12k", lambda a: attacks.opus(a, 12)),
        "opus-6": ("Opus 6k", lambda a: attacks.opus(a, 6)),
        "g722": ("G.722", lambda a: attacks.encoded(a, "g722", "wav")),
        "chain": ("MP3 64k, then Opus 16k, then AAC 48k", _thrice),
    }
    for key, (label, change_of) in more.items():
        yield Attack(key, label, section, _plain(change_of), costly=key == "chain")
    yield Attack("vorbis", "Vorbis q0", section, _plain(lambda a: attacks.vorbis(a, 0)), costly=True)


def _thrice(audio: Floats) -> Floats:
    return attacks.aac(attacks.opus(attacks.mp3(audio, 64), 16), 48)


def _telephone() -> Iterator[Attack]:
    section = "Telephone"

    def lost(share: float, *, repeat: bool) -> Change:
        return lambda a, _, rng: attacks.lossy(attacks.opus(a, 16), share, rng, repeat=repeat)

    yield Attack("g711u", "G.711 mu-law, 300-3400 Hz", section, _plain(attacks.g711), 0.98, 0.99, common=True)
    yield Attack("g711a", "G.711 A-law, 300-3400 Hz", section, _plain(lambda a: attacks.g711(a, "alaw")), 0.98, 0.99)
    yield Attack("gsm", "GSM full rate", section, _plain(attacks.gsm), 0.98, 0.97, costly=True)
    yield Attack("amr-12", "AMR 12.2k", section, _plain(lambda a: attacks.amr(a, 12_200)), 0.98, 0.99, common=True)
    yield Attack("amr-5", "AMR 4.75k", section, _plain(lambda a: attacks.amr(a, 4_750)), 0.98, 0.99)
    change = _plain(lambda a: attacks.amr_wide(a, 12_650))
    yield Attack("amr-wb", "AMR-WB 12.65k", section, change, 0.98, 0.99, costly=True)
    change = _plain(lambda a: attacks.mp3(attacks.g711(a), 64))
    yield Attack("phone-mp3", "G.711, then MP3 64k", section, change)
    yield Attack("loss-1", "Opus 16k, 1 % of packets silent", section, lost(0.01, repeat=False))
    yield Attack("loss-5", "Opus 16k, 5 % of packets repeated", section, lost(0.05, repeat=True))
    yield Attack("loss-10", "Opus 16k, 10 % of packets silent", section, lost(0.1, repeat=False))


def _noise() -> Iterator[Attack]:
    section = "Noise"

    def noisy(db: float, exponent: float) -> Change:
        return lambda a, _, rng: attacks.added(a, attacks.coloured(len(a), rng, exponent), db)

    def babble(db: float) -> Change:
        return lambda a, m, rng: attacks.added(a, np.roll(m.babble, int(rng.integers(len(m.babble)))), db)

    def recorded(db: float) -> Change:
        return lambda a, m, rng: attacks.added(a, m.noises[int(rng.integers(len(m.noises)))], db)

    for db, target, alone in ((30, None, None), (20, 0.99, None), (10, 0.97, 0.93), (5, None, None), (0, None, None)):
        yield Attack(f"white-{db}", f"white noise {db} dB", section, noisy(db, 0), target, alone)
    yield Attack("pink-10", "pink noise 10 dB", section, noisy(10, 1))
    for db, goal in ((10, 0.97), (5, None), (0, None)):
        yield Attack(f"babble-{db}", f"babble of six voices {db} dB", section, babble(db), goal)
    for db in (10, 0):
        yield Attack(f"recorded-{db}", f"recorded noises {db} dB", section, recorded(db))


def _rooms() -> Iterator[Attack]:
    section = "Rooms"

    def synthetic(rt60: float) -> Change:
        return lambda a, _, rng: attacks.room(a, attacks.decay(rt60, rng))

    def measured(name: str) -> Change:
        return lambda a, m, _: attacks.room(a, m.rooms[name])

    def replayed(a: Floats, _: Materials, rng: np.random.Generator) -> Floats:
        return attacks.replayed(a, attacks.decay(0.4, rng), attacks.coloured(len(a), rng, 1))

    def into_telephone(a: Floats, m: Materials, rng: np.random.Generator) -> Floats:
        return attacks.amr(replayed(a, m, rng), 12_200)

    for rt60, target, alone in ((0.3, None, None), (0.4, 0.97, 0.90), (0.6, None, None), (1.0, None, None)):
        yield Attack(f"rt-{rt60}", f"reverberation RT60 {rt60} s", section, synthetic(rt60), target, alone)
    for k in (1, 2, 3, 4):
        yield Attack(f"rir{k}", f"measured room {k}", section, measured(f"rir{k}"))
    yield Attack("replay", "played and recorded: room, noise, level control, MP3", section, replayed, costly=True)
    yield Attack("replay-phone", "the same into a telephone (AMR 12.2k)", section, into_telephone, costly=True)


def _time() -> Iterator[Attack]:
    section = "Speed, tempo, pitch"

    def row(
        key: str, label: str, change: Callable[[Floats], Floats], *targets: float | None, costly: bool = False
    ) -> Attack:
        target, alone = [*targets, None, None][:2]
        return Attack(key, label, section, _plain(change), target, alone, stretched=True, costly=costly)

    within10 = {0.95: (0.99,), 1.05: (0.99,), 0.9: (0.97, 0.98), 1.1: (0.97, 0.98)}
    for factor in (0.80, 0.9, 0.95, 1.02, 1.05, 1.1, 1.25):
        goals = within10.get(factor, ())
        yield row(f"speed-{factor}", f"speed {factor:.2f}", partial(attacks.speed, factor=factor), *goals)
    for factor in (0.75, 0.9, 0.95, 1.05, 1.1, 1.25):
        goals = within10.get(factor, ())
        yield row(f"tempo-{factor}", f"tempo {factor:.2f}", partial(attacks.tempo, factor=factor), *goals)
    for steps in (-4, -2, -1, 1, 2, 4):
        semitone = {1: (0.97, 0.98), 2: (0.93,)}.get(abs(steps), ())
        yield row(f"pitch{steps:+d}", f"pitch {steps:+d} semitones", partial(attacks.pitch, semitones=steps), *semitone)
    for steps in (-1, 2):
        change = partial(attacks.rubberband, semitones=steps)
        goals = {-1: (0.97, 0.98), 2: (0.93,)}[steps]
        yield row(f"rubber{steps:+d}", f"pitch {steps:+d} semitones (rubberband)", change, *goals, costly=True)
    change = partial(attacks.rubberband, tempo=1.1)
    yield row("rubber-tempo", "tempo 1.10 (rubberband)", change, 0.97, 0.98, costly=True)

    def jitter(a: Floats, _: Materials, rng: np.random.Generator) -> Floats:
        return attacks.jittered(a, 0.01, rng)

    yield Attack("jitter", "a sample lost or doubled in 1 % of frames", section, jitter)
    yield Attack("drift", "clock 0.02 % off", section, _plain(lambda a: attacks.speed(a, 1.0002)))


def _mixed() -> Iterator[Attack]:
    section = "Music and other speech"

    def music(db: float) -> Change:
        return lambda a, m, rng: attacks.added(a, np.roll(m.music(rng), int(rng.integers(60 * RATE))), db)

    def other(db: float) -> Change:
        return lambda a, m, rng: attacks.added(a, m.anyone(rng), db)

    for db, target in ((10, None), (0, 0.95), (-5, None)):
        yield Attack(f"music{db:+d}", f"music {_beside(db)}", section, music(db), target)
    for db, target in ((10, None), (0, 0.95)):
        yield Attack(f"other{db:+d}", f"other speech {_beside(db)}", section, other(db), target)


def _beside(db: float) -> str:
    return "as loud as the clip" if db == 0 else f"{abs(db):.0f} dB {'below' if db > 0 else 'above'} it"


def _cuts() -> Iterator[Attack]:
    section = "Cuts"
    same = _plain(lambda a: a)

    def inside(a: Floats, m: Materials, rng: np.random.Generator) -> Floats:
        begin = _begin(rng)
        return attacks.within(a, m.anyone(rng), 60, begin)

    yield Attack("cut-3", "cut to 3 s", section, same, 0.97, seconds=3)
    yield Attack("cut-3-of-10", "cut to 3 s, of clips of 10 s and more", section, same, None, 0.98, 3, longer_than=9.5)
    yield Attack("cut-3-opus", "cut to 3 s, Opus 16k", section, _plain(lambda a: attacks.opus(a, 16)), seconds=3)
    yield Attack("cut-2", "cut to 2 s", section, same, 0.90, seconds=2)
    yield Attack("cut-1", "cut to 1 s", section, same, seconds=1)
    change = _plain(lambda a: attacks.opus(a, 12))
    yield Attack("short-opus-12", "whole clips of 3 s, Opus 12k", section, change, None, 0.92, shorter_than=3.2)
    yield Attack("short", "whole clips of 3 s", section, same, shorter_than=3.2)
    yield Attack("inside", "5 s inside 60 s of other speech", section, inside, 0.97, costly=True, placed=True)
    yield Attack("splice", "pieces of 1 s in another order", section, lambda a, _, rng: attacks.shuffled(a, 1, rng))
    options = "stop_periods=-1:stop_threshold=-40dB:stop_duration=0.2"
    change = _plain(lambda a: attacks.filtered(a, ("silenceremove", options)))
    yield Attack("pauses", "pauses taken out", section, change)


def _combined() -> Iterator[Attack]:
    section = "Several at once"

    def clip_app(a: Floats, m: Materials, rng: np.random.Generator) -> Floats:
        return attacks.aac(attacks.added(attacks.pitch(attacks.tempo(a, 1.1), 1), m.music(rng), 0), 64)

    def call(a: Floats, m: Materials, rng: np.random.Generator) -> Floats:
        noisy = attacks.added(a, np.roll(m.babble, int(rng.integers(len(m.babble)))), 10)
        return attacks.lossy(attacks.g711(noisy), 0.05, rng)

    def meme(a: Floats, _: Materials, rng: np.random.Generator) -> Floats:
        return attacks.room(attacks.mp3(attacks.speed(a, 1.25), 32), attacks.decay(0.3, rng))

    yield Attack("app", "tempo 1.1, pitch +1, music as loud, AAC 64k", section, clip_app, stretched=True, costly=True)
    yield Attack("call", "babble 10 dB, G.711, 5 % of packets lost", section, call)
    yield Attack("meme", "3 s, speed 1.25, MP3 32k, room", section, meme, seconds=3, stretched=True)


def _rebuilt() -> Iterator[Attack]:
    section = "Speech built anew"
    change = _plain(attacks.resynthesised)
    yield Attack("mel", "from 80 mel bands (Griffin-Lim)", section, change, costly=True)
    yield Attack(
        "codec2-3200", "Codec2 3.2k (vocoder)", section, _plain(lambda a: attacks.codec2(a, 3200)), costly=True
    )
    yield Attack(
        "codec2-1200", "Codec2 1.2k (vocoder)", section, _plain(lambda a: attacks.codec2(a, 1200)), costly=True
    )


def suite() -> list[Attack]:
    """Every attack, in the order of the report."""
    parts = (_levels, _codecs, _telephone, _noise, _rooms, _time, _mixed, _cuts, _combined, _rebuilt)
    return [attack for part in parts for attack in part()]


QUICK = ("none", "mp3-64", "g711u", "white-10", "speed-1.05")


def chosen(quick: bool) -> list[Attack]:
    """The suite, or its short form."""
    return [attack for attack in suite() if attack.key in QUICK] if quick else suite()

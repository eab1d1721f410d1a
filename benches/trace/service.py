"""A real service in a folder: the corpus spoken by accounts of it, stamped and stored by the code that always does."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy import select

from app.accounts.models import Account
from app.core import migrate
from app.core.db import Databases
from app.jobs import service as jobs
from app.jobs.service import Claim
from app.provenance.service import Stamped, write_stamp
from app.settings import Settings
from app.speech.models import Clip, Generation
from app.speech.service import charge_for, commit_generation
from app.voices.models import Voice, VoiceState
from benches.trace.attacks import Floats
from benches.trace.corpus import Spoken
from tests.world import World
from workers.engines.kokoro.table import STOCK
from workers.keys import init_keys
from workers.stamp import stamp
from workers.tools import Tools

MADE = "made.json"
FORMAT = "wav_24000"
ACCOUNTS, TWIN_ACCOUNTS = 10, 3
TWIN_VOICES = 12
SHORT, HELD_OUT, TWIN, FOREIGN = (0, 1), 2, 4, 5
"""Which of a voice's seven clips are cut to 3 s before they are stamped; which is never made here; which is made for
three accounts in twelve of the engine's voices; and which, in stock voices, also exists unmarked."""
STOCK_VOICES = frozenset(pack for pack, _ in STOCK.values())
"""The engine's voices that Vouch offers to everybody. The others stand in for voices that one account has cloned."""
SHORT_SECONDS = 3.0
_BATCH = 8  # clips in work at once: an account may have ten
_LEASE = timedelta(hours=2)
_SOURCES = ("workers/marks", "workers/stamp.py", "workers/index", "workers/keys.py", "benches/trace/service.py")


@dataclass(frozen=True)
class Made:
    """A stamped clip of the service."""

    spoken: str
    kind: str
    """clip, short or twin."""
    voice: str
    sex: str
    account: str
    generation: str
    tag: str
    storage_key: str
    seconds: float
    strength_db: float


@dataclass(frozen=True)
class _Order:
    spoken: Spoken
    kind: str
    account: int


def place_of(spoken: Spoken) -> int:
    """Which of its voice's clips it is."""
    return int(spoken.name.rsplit("-", 1)[1])


def twin_voices(clips: Iterable[Spoken]) -> set[str]:
    """Voices in which three accounts let say the same; those that are not stock, they have cloned from one sample."""
    voices = sorted({clip.voice for clip in clips if not clip.voice.startswith("real")})
    return set(voices[::2][:TWIN_VOICES])


def host(spoken: Spoken, corpus: Path) -> Floats:
    """What is stamped: the clip as spoken, 24 kHz, or its first three seconds."""
    audio = spoken.load(corpus)
    return audio[: int(SHORT_SECONDS * 24_000)] if place_of(spoken) in SHORT else audio


def fingerprint_of_sources() -> str:
    """Changes when stamping does: then clips must be stamped again."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = Path(source)
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def open_service(folder: Path, corpus: Path, clips: list[Spoken], processes: int) -> tuple[Settings, list[Made]]:
    """The service of a folder; made first where it is not there. Takes some minutes then."""
    settings = Settings(data_dir=folder, speech={"engine": "fake"}, log_level="WARNING")
    if not (folder / MADE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = list(_make(settings, corpus, clips, processes))
        (folder / MADE).write_text(json.dumps([asdict(each) for each in made], indent=1))
    return settings, [Made(**each) for each in json.loads((folder / MADE).read_text())]


def _orders(clips: list[Spoken]) -> Iterator[_Order]:
    twins, owned = twin_voices(clips), sorted({clip.voice for clip in clips} - STOCK_VOICES)
    for clip in clips:
        k = place_of(clip)
        if k == HELD_OUT:
            continue
        chance = zlib.crc32(clip.name.encode())
        account = owned.index(clip.voice) % ACCOUNTS if clip.voice in owned else chance % ACCOUNTS
        if k == TWIN and clip.voice in twins:
            yield from (_Order(clip, "twin", (account + step) % ACCOUNTS) for step in range(TWIN_ACCOUNTS))
        else:
            yield _Order(clip, "short" if k in SHORT else "clip", account)


def _make(settings: Settings, corpus: Path, clips: list[Spoken], processes: int) -> Iterator[Made]:
    databases = Databases(settings)
    migrate.upgrade(databases.engine)
    init_keys(settings.key_directory, settings.voices.service_name)
    world = World(settings, databases)
    people = [world.account(plan="studio") for _ in range(ACCOUNTS)]
    orders = list(_orders(clips))
    spoken_in = {key: _voice(world, key[0], people[key[1]]) for key in sorted({_voice_key(order) for order in orders})}
    key_epoch, key = Tools(settings).keys.current
    waiting = iter(orders)
    context = multiprocessing.get_context("spawn")  # no connection may be shared with a child
    with context.Pool(processes, _begin, (str(settings.data_dir), str(corpus))) as pool:
        done = 0
        while batch := list(islice(waiting, _BATCH)):
            rows = [
                _commit(world, people[o.account], spoken_in[_voice_key(o)], o.spoken, key, key_epoch) for o in batch
            ]
            stamped = pool.starmap(_stamped, [(row, o.spoken) for (_, row), o in zip(rows, batch, strict=True)])
            for order, (claim, row), result in zip(batch, rows, stamped, strict=True):
                _finish(world, claim, row, result)
                yield Made(
                    spoken=order.spoken.name,
                    kind=order.kind,
                    voice=order.spoken.voice,
                    sex=order.spoken.sex,
                    account=str(row.account_id),
                    generation=str(row.id),
                    tag=row.tag.hex(),
                    storage_key=result.storage_key,
                    seconds=result.seconds,
                    strength_db=result.mark_strength_db,
                )
            done += len(batch)
            print(f"stamped {done} of {len(orders)}", flush=True)
    databases.close()


def _voice_key(order: _Order) -> tuple[str, int]:
    """A voice that was cloned is of its account alone; of a stock voice there is one."""
    return order.spoken.voice, 0 if order.spoken.voice in STOCK_VOICES else order.account


def _voice(world: World, name: str, owner: Account) -> Voice:
    """A stock voice, or one that its owner cloned with consent."""
    if name not in STOCK_VOICES:
        return world.voice(owner)
    with world.databases.writing() as session:
        voice = Voice(stock_id=name, name=name, language="en-us", state=VoiceState.READY, artefact_key=f"stock/{name}")
        session.add(voice)
    return voice


def _commit(
    world: World, account: Account, voice: Voice, spoken: Spoken, key: bytes, key_epoch: int
) -> tuple[Claim, Generation]:
    world.speak(account, voice, spoken.text)
    (claim,) = world.claim(world.settings.jobs.speech_queue, lease=_LEASE)
    with world.databases.writing() as session:
        clip = session.scalars(select(Clip).where(Clip.job_id == claim.job_id)).one()
        return claim, commit_generation(session, clip, key=key, key_epoch=key_epoch, engine="kokoro")


def _finish(world: World, claim: Claim, row: Generation, stamped: Stamped) -> None:
    with world.databases.writing() as session:
        jobs.finish(session, claim)
        write_stamp(session, row.id, stamped)
        charge_for(session, session.scalars(select(Clip).where(Clip.job_id == claim.job_id)).one())


_tools: Tools
_corpus: Path


def _begin(folder: str, corpus: str) -> None:
    global _tools, _corpus
    _tools = Tools(Settings(data_dir=Path(folder), speech={"engine": "fake"}, log_level="WARNING"))
    _corpus = Path(corpus)


def _stamped(row: Generation, spoken: Spoken) -> Stamped:
    return stamp(_tools, row, np.ascontiguousarray(host(spoken, _corpus)), 24_000, FORMAT, attempt=1)

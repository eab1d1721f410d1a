"""The demo's walk through the product, step by step, each printed with its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.accounts.registration import NewAccount
from app.cli.client import Client
from app.cli.common import how_rare, run_module
from app.core.errors import Invalid, Unavailable

LOOK_EVERY = 0.25  # seconds between looks at a voice
PATIENCE = 300.0  # seconds that one step may take
TARGET = 60.0  # seconds from the upload to the first stamped sentence, on two cores

DONOR_SAYS = """
The ferry leaves the small harbour at a quarter past six, long before the bakery opens its doors. Two fishermen wave
from the pier, and a grey dog runs along the wall until the boat has passed the lighthouse. On deck it is cold, so most
of the passengers sit inside, drink coffee from paper cups, and watch the coast grow thin behind them. A teacher marks
her exercise books. A boy asks his father how deep the water is, and whether whales ever come this close to the shore.
Nobody knows exactly, but everybody has an opinion about it. After half an hour the sun breaks through, the windows
turn gold, and someone at the back begins to whistle an old tune. Have you ever noticed how quickly strangers start to
talk when the weather changes? By the time the island comes into view, the whole cabin is laughing at a story about a
borrowed bicycle, a broken umbrella, and a very patient goat. The captain, who has heard it a hundred times, still
smiles and rings the bell twice, once for the goat and once for good luck. Then the engine slows down, the ropes fly
over, and everyone goes ashore to begin an ordinary day.
"""
CLIP_SAYS = (
    "Good morning. This sentence was never spoken by anybody: a machine made it, in a voice that was lent with "
    "consent, and it carries a mark that nobody hears."
)


class Walk:
    """One run of the main job. `folder` gets the files; `statement_known` says that the sentence was set by us."""

    def __init__(
        self, address: str, folder: Path, customer: NewAccount, moderator: NewAccount, *, statement_known: bool
    ) -> None:
        self._customer, self._statement_known, self._folder = customer, statement_known, folder
        self._api = Client(address, customer.api_key)
        self._moderation = Client(address, moderator.api_key)
        folder.mkdir(exist_ok=True, mode=0o700)

    def run(self, sample: Path | None, consent: Path | None) -> None:
        """The whole way, once. Raises Invalid with the product's reasons where it refuses."""
        with self._api, self._moderation:
            self._clone_speak_trace(sample, consent)

    def _clone_speak_trace(self, sample: Path | None, consent: Path | None) -> None:
        own = sample is not None
        if sample is None:
            sample = self._folder / "sample.wav"
            with timed("the donor spoke for a minute (Vouch's built-in SYNTHETIC voice: no person's)"):
                run_module("workers.donor", "--text", " ".join(DONOR_SAYS.split()), "--out", str(sample))
        began = time.monotonic()
        with timed("uploaded the sample"):
            voice_id = self._api.add_voice("Demo voice", sample)
        recording = self._read_sentence(voice_id, consent, own=own)
        with timed("sent the reading of the consent sentence"):
            self._api.send_reading(voice_id, recording)
        self._watch(voice_id)
        clip = self._folder / "clip.mp3"
        with timed("spoke a sentence, marked and signed"):
            clip.write_bytes(self._api.speak(voice_id, CLIP_SAYS))
        total = time.monotonic() - began
        print(
            f"{total:6.1f} s  IN ALL from the upload to the first stamped sentence (target: at most {TARGET:.0f} s)\n"
        )
        self._trace(clip)

    def _read_sentence(self, voice_id: str, consent: Path | None, *, own: bool) -> Path:
        sentence = self._api.sentence(voice_id)
        if self._statement_known:
            note("the sentence is the one given with --statement: this service takes it for tests only")
        note(f"sentence to read: {sentence}")
        if not own:
            recording = self._folder / "consent.wav"
            with timed("the donor read the sentence"):
                run_module("workers.donor", "--text", sentence, "--out", str(recording))
            return recording
        if consent is None:
            return _asked_for_file()
        if sys.stdin.isatty() and not self._statement_known:
            input(f"          Record it, read aloud by the speaker, as {consent}; then press Enter. ")
        return consent

    def _watch(self, voice_id: str) -> None:
        """Until the voice can speak. Raises Invalid when sample, consent or voice was refused."""
        with timed("the sample was checked"):
            voice = self._wait(voice_id, _sample_is_judged)
        sample = voice["vouch"]["sample"]
        _refused_if(sample["state"] == "rejected", "The sample was not accepted", sample["reasons"])
        note(f"accepted: {sample['speech_seconds']:.0f} s of speech, {len(sample['checks'])} checks passed")
        with timed("the consent was checked"):
            voice = self._wait(voice_id, _consent_is_settled)
        attempt = voice["voice_verification"]["verification_attempts"][-1]
        settled = "needs a moderator's ear" if attempt["state"] == "in_review" else "was not accepted"
        _refused_if(not attempt["accepted"], f"The consent {settled}", attempt["reasons"])
        note(f"in force: voice similarity {attempt['similarity']:.2f}, heard: {attempt['recording']['transcription']}")
        with timed("the voice was made"):
            voice = self._wait(voice_id, _voice_is_settled)
        problem = [{"message": voice["vouch"]["problem"]}] if voice["vouch"]["problem"] else []
        _refused_if(voice["vouch"]["state"] != "ready", "The voice could not be made", problem)

    def _wait(self, voice_id: str, settled: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not settled(voice := self._api.voice(voice_id)):
            if time.monotonic() > deadline:
                raise Unavailable("demo.slow", f"This has taken more than {PATIENCE:.0f} seconds.")
            time.sleep(LOOK_EVERY)
        return voice

    def _trace(self, clip: Path) -> None:
        """Trace a telephone copy of the clip. Raises Unavailable when the answer does not name the account."""
        copy = self._folder / "telephone-copy.mp3"
        with timed("made a telephone copy: 5 s of it, 300 to 3400 Hz, MP3 of 64 kbit/s"):
            run_module("workers.mangle", str(clip), str(copy))
        with timed("a moderator traced the copy"):
            answer = self._moderation.trace(copy, "Demo: whose is this telephone recording?")
            while answer["state"] == "waiting":
                time.sleep(LOOK_EVERY)
                answer = self._moderation.trace_again(answer["trace_id"])
        for part in answer["evidence"]:
            note(f"{part['channel']}: {part['sentence']}")
        named = (answer["account"] or {}).get("email")
        if named != self._customer.account.email:
            raise Unavailable("demo.trace", f"The trace did not lead back to the account: {answer['conclusion']}")
        note(f"{answer['verdict'].upper()}: made here by {named}, in the voice {answer['voice']['name']!r}.")
        if answer["false_match_rate"]:
            note(how_rare(answer["false_match_rate"]))


@contextmanager
def timed(done: str) -> Iterator[None]:
    """Print what was done and how long it took, once it is done."""
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:6.1f} s  {done}", flush=True)


def note(text: str) -> None:
    """A line below a step."""
    print(f"          {text}", flush=True)


def _sample_is_judged(voice: dict[str, Any]) -> bool:
    return voice["vouch"]["sample"]["state"] in ("accepted", "rejected")


def _consent_is_settled(voice: dict[str, Any]) -> bool:
    return voice["voice_verification"]["verification_attempts"][-1]["state"] not in ("pending", "checking")


def _voice_is_settled(voice: dict[str, Any]) -> bool:
    return voice["vouch"]["state"] not in ("draft", "cloning") or bool(voice["vouch"]["problem"])


def _refused_if(refused: bool, what: str, reasons: list[dict[str, str]]) -> None:
    if refused:
        why = [f"  - {reason['message']}" for reason in reasons]
        raise Invalid("demo.refused", "\n".join([f"{what}.", *why]))


def _asked_for_file() -> Path:
    while True:
        path = Path(
            input("          Record it, read aloud by the speaker. Path of the recording: ").strip()
        ).expanduser()
        if path.is_file():
            return path
        note(f"There is no file {path}.")

"""What is said: Whisper base, run by faster-whisper, from files on this machine only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from workers.weights import locate

RATE = 16_000
LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Word:
    """A word with its start and end in seconds, and how sure the model is of it (0 to 1)."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """Text and words in order, empty without speech; `language` is an ISO 639-1 code, `seconds` the length heard."""

    text: str
    words: tuple[Word, ...]
    language: str
    seconds: float


class Transcriber:
    """The model in int8, loaded once. One call at a time uses `cpu_threads` cores."""

    def __init__(self, cpu_threads: int = 2) -> None:
        folder = locate("whisper-base")
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=cpu_threads, local_files_only=True
        )

    def transcribe(
        self, pcm16k: NDArray[np.float32], language: str | None = None, hint: str | None = None
    ) -> Transcript:
        """Transcribe mono 16 kHz audio; without `language` it is detected.

        `hint` is text that makes its names and spellings likelier. Never give it a sentence that the speaker is to be
        checked against: the model would lean towards hearing it. Raises ValueError for more than ten minutes.
        """
        seconds = len(pcm16k) / RATE
        if seconds > LONGEST_SECONDS:
            raise ValueError(
                f"The recording has {seconds:.0f} seconds; at most {LONGEST_SECONDS:.0f} can be transcribed."
            )
        if not len(pcm16k):
            return Transcript("", (), language or "", 0.0)
        segments, info = self._model.transcribe(
            pcm16k,
            language=language,
            initial_prompt=hint,
            word_timestamps=True,
            vad_filter=True,  # Whisper makes up words for silence
            condition_on_previous_text=False,  # one slip would be carried on
        )
        words = tuple(
            Word(word.word.strip(), float(word.start), float(word.end), float(word.probability))
            for segment in segments
            for word in segment.words or ()
        )
        return Transcript(" ".join(word.text for word in words), words, info.language, seconds)

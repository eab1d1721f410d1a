"""What a trace tells: the evidence of each channel, in numbers and a sentence, and where copy and original agree.

This is the contract of `TraceQuery.evidence` and `TraceQuery.matched`: pages, API, command line and evidence bundles
read these keys and no others. Nothing in it names a generation, an account or a voice: of candidates only counts are
kept, so that evidence which may not name anybody does not do it by the back door. Every channel that was looked at is
in the list once, in the order of `CHANNELS`; one that was not needed is left out.

Times are seconds; `speed` 1.05 means that the copy plays five per cent faster than the original, `pitch` 1.05 that it
sounds five per cent higher. Keys marked NotRequired are there only when there is something to tell.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Channel = Literal["credentials", "mark", "fingerprint", "words"]
CHANNELS: tuple[Channel, ...] = ("credentials", "mark", "fingerprint", "words")
LABELS: dict[Channel, str] = {
    "credentials": "Content credentials",
    "mark": "The mark",
    "fingerprint": "The fingerprint",
    "words": "The words",
}
"""What people call a channel."""


class CredentialsEvidence(TypedDict):
    """Signed content credentials in the file."""

    channel: Literal["credentials"]
    state: Literal["valid", "invalid", "unknown_signer", "none"]
    known: bool
    """They are ours and intact, and their generation is in the ledger."""
    sentence: str


class MarkEvidence(TypedDict):
    """The best issued tag. Without `z` nothing could be read: no tags, or too little audio."""

    channel: Literal["mark"]
    accepted: bool
    """By itself, or, with `informed`, for a clip that the fingerprint had found."""
    tags: int
    """How many issued tags it was compared with."""
    z: NotRequired[float]
    """Agreement of soft bits and tag, 11.3 at the most; like a standard normal for any other tag."""
    z_generation: NotRequired[float]
    """The same over the half that only this generation has."""
    runner_up_z: NotRequired[float | None]
    """z of the best rival over the same audio; None when there is none."""
    errors: NotRequired[int]
    """Of 128 bits with the wrong sign."""
    hypotheses: NotRequired[int]
    """Readings that were compared with the tags."""
    bound: NotRequired[float]
    """Expected wrong matches this good for such a query, from above."""
    from_seconds: NotRequired[float]
    to_seconds: NotRequired[float]
    pitch_scale: NotRequired[float]
    time_scale: NotRequired[float]
    """1.05: five per cent longer than the original."""
    informed: NotRequired[Literal["presence", "twins"]]
    """Which test against what is stored was decisive, where the mark was not found blind. Not `accepted`: the sound of
    a clip is there clearly without its mark."""
    informed_z: NotRequired[float]
    informed_bound: NotRequired[float]
    elsewhere: NotRequired[int]
    """Further clips of ours whose marks were found in other stretches of the file."""
    sounds_other: NotRequired[bool]
    """The mark is there and the sound is not that of its clip: it may have been carried over to foreign speech."""
    sound_compared: NotRequired[bool]
    """False where the mark is there and nothing of its clip's sound is kept any more to compare with."""
    sentence: str


class FingerprintEvidence(TypedDict):
    """Stored fingerprints that agree with the query."""

    channel: Literal["fingerprint"]
    candidates: int
    """Clips that the index proposed."""
    verified: int
    """Of them, those that agree with the query in the best stretch about equally well: more than one are rivals."""
    one_account: NotRequired[bool]
    """All of these were made by one account."""
    stock_voice: NotRequired[bool]
    """The voice comes with the engine: whoever has the engine can make the same sound."""
    score: NotRequired[float]
    """Agreement of the aligned fingerprints, in deviations of what the same two pieces give when shifted."""
    agreement: NotRequired[float]
    """Share of the bits of the aligned fingerprints that agree: 0.5 is chance."""
    bound: NotRequired[float]
    """Chance that other speech agrees so well."""
    from_seconds: NotRequired[float]
    to_seconds: NotRequired[float]
    original_from: NotRequired[float]
    original_to: NotRequired[float]
    speed: NotRequired[float]
    pitch: NotRequired[float]
    elsewhere: NotRequired[int]
    """Further stretches of the query that agree with other clips."""
    sentence: str


class WordsEvidence(TypedDict):
    """Texts that were spoken here and that the query seems to say. A lead at most: anybody can say the same."""

    channel: Literal["words"]
    heard: int
    """Words recognised in the query."""
    clips: int
    """Clips whose text agrees as well as the best."""
    agreeing: NotRequired[int]
    """Words that query and best text have in common, in order."""
    share: NotRequired[float]
    """Of the words in that stretch of the query, 0 to 1."""
    from_seconds: NotRequired[float]
    to_seconds: NotRequired[float]
    sentence: str


Evidence = CredentialsEvidence | MarkEvidence | FingerprintEvidence | WordsEvidence


class Matched(TypedDict):
    """Where query and original agree: `TraceQuery.matched`, which is empty when no place is known."""

    query_from: float
    query_to: float
    original_from: float
    original_to: float
    speed: float
    pitch: float

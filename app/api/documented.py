"""What the OpenAPI document says of every route alike: ids, error bodies, audio answers, tags."""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

from fastapi import APIRouter, Depends, Path, params
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app.core.services import Services, services_of
from app.speech.formats import FORMATS

PUBLIC_ID = r"^[A-Za-z0-9_-]{1,64}$"
Responses = dict[int | str, dict[str, Any]]

Parts = Annotated[Services, Depends(services_of)]
VoiceId = Annotated[str, Path(description="Id of a voice.", pattern=PUBLIC_ID, examples=["pX3bS0mJ2vLq8RtYw1Zk"])]
HistoryItemId = Annotated[str, Path(description="Id of a clip, its history item.", pattern=PUBLIC_ID)]
ConsentId = Annotated[str, Path(description="Id of a consent.", pattern=PUBLIC_ID)]
TraceId = Annotated[str, Path(description="Id of a trace.", pattern=PUBLIC_ID)]

TAGS = [
    {
        "name": "Voices",
        "description": "Make a voice from about a minute of speech, and look after it. "
        "Wire-compatible with the ElevenLabs API: its official clients work with only the base URL changed.",
    },
    {
        "name": "Consent",
        "description": "A voice speaks only while its speaker's consent is in force. Fetch a sentence, have the "
        "speaker read it aloud, send the recording; the voice shows how it was judged.",
    },
    {
        "name": "Text to speech",
        "description": "Speak any text. Every answer carries an inaudible mark that leads back to the account.",
    },
    {"name": "History", "description": "The clips that were made, and their audio."},
    {"name": "Account", "description": "The account behind the key, its plan and what is left of it; the models."},
    {"name": "Moderation", "description": "For moderators: consents that the machine could not settle."},
    {"name": "Trace", "description": "For moderators: where a piece of audio comes from."},
    {
        "name": "Detection",
        "description": "For everybody, without a key: was a recording made by this server? The answer is coarse, names "
        "nobody, and comes with a signed receipt.",
    },
    {
        "name": "Keys",
        "description": "Keys are made, changed and revoked on the account's pages only, by a person who has signed in: "
        "no key can make another. Each may do what its scopes say: `read` (look), `speak` (make clips), `voices` "
        "(make, change and delete voices), `moderate` (for moderators). It may also have a monthly limit of "
        "characters, a date of expiry, and networks that it must be used from.",
    },
    {
        "name": "Ledger",
        "description": "For anybody: signed checkpoints of the transparency log (RFC 6962, C2SP tlog-checkpoint) and "
        "proofs that something is in it, and that it was only ever added to. It names nobody.",
    },
    {"name": "Health", "description": "For operators and load balancers."},
]


class Said(BaseModel):
    """Why not, in plain words."""

    status: str = Field(description="A stable code for programs.", examples=["voice_not_verified"])
    message: str = Field(
        description="A sentence for people.", examples=["This voice has no consent in force, so it can't speak."]
    )
    rule: str | None = Field(None, description="The policy rule that refused, if one did.")
    fix: str | None = Field(None, description="What would make it pass.")


class BadField(BaseModel):
    """One field that can't be read."""

    loc: list[str | int] = Field(description="Where: body, query or path, then the field.", examples=[["body", "text"]])
    msg: str = Field(description="What is wrong with it.", examples=["Field required"])
    type: str = Field(description="Kind of defect, for programs.", examples=["missing"])


class ErrorBody(BaseModel):
    """An error in the shape of the ElevenLabs API."""

    detail: Said = Field(description="What went wrong.")


class InvalidBody(BaseModel):
    """What was sent can't be used: as a whole, or field by field."""

    detail: Said | list[BadField] = Field(description="A sentence, or the fields that can't be read.")


class Problem(BaseModel):
    """An error as RFC 9457 has it."""

    type: str = Field(description="Always about:blank.", examples=["about:blank"])
    title: str = Field(description="The phrase of the status.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="A sentence for people.", examples=["There is no such trace."])
    code: str = Field(description="A stable code for programs.", examples=["trace_not_found"])
    rule: str | None = Field(None, description="The policy rule that refused, if one did.")
    fix: str | None = Field(None, description="What would make it pass.")
    errors: list[dict[str, Any]] | None = Field(None, description="Fields that can't be read.")


ERROR_WORDS = {
    400: "The request asks for something that is never done.",
    401: "No valid API key, or the month's characters are used up (`quota_exceeded`).",
    403: "A rule refuses; the answer names it and says what would make it pass.",
    404: "There is no such thing, or it belongs to somebody else.",
    413: "The request is larger than the server takes.",
    416: "The range lies outside of the file.",
    422: "What was sent can't be used.",
    429: "Too many requests from one network address; `Retry-After` says for how many seconds to wait.",
    503: "Something does not work on our side. It is not the request's fault.",
    504: "It takes longer than a request may wait; the work goes on.",
}


def compatible_errors(*statuses: int) -> Responses:
    """The error answers of an ElevenLabs-shaped route: 401, 403, 422 and the given ones."""
    return {
        status: {"description": ERROR_WORDS[status], "model": InvalidBody if status == 422 else ErrorBody}
        for status in sorted({401, 403, 422, *statuses})
    }


def own_errors(*statuses: int) -> Responses:
    """The error answers of a route of our own: 401, 403, 422 and the given ones, as problem+json."""
    schema = Problem.model_json_schema()
    return {
        status: {"description": ERROR_WORDS[status], "content": {"application/problem+json": {"schema": schema}}}
        for status in sorted({401, 403, 422, *statuses})
    }


def open_errors(*statuses: int) -> Responses:
    """The error answers of a route of our own that needs no key: 422 and the given ones, as problem+json."""
    return {status: said for status, said in own_errors(*statuses).items() if status in {422, *statuses}}


def say_scopes(router: APIRouter) -> None:
    """Write the scope that each route needs into its description."""
    for route in router.routes:
        if isinstance(route, APIRoute) and (scope := scope_of(route)):
            route.description = f"{route.description}\n\nThe key needs the scope `{scope}`."


def scope_of(route: APIRoute) -> str | None:
    """The scope that a route asks of a key; None when it takes no key."""
    for hint in get_type_hints(route.endpoint, include_extras=True).values():
        for each in getattr(hint, "__metadata__", ()):
            if isinstance(each, params.Security) and each.scopes:
                return str(each.scopes[0])
    return None


def audio_answer(description: str, headers: dict[str, str] | None = None, mimes: set[str] | None = None) -> Responses:
    """A 200 that is audio, with the headers that come with it."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    said = {name: {"description": words, "schema": {"type": "string"}} for name, words in (headers or {}).items()}
    mimes = mimes or {form.mime for form in FORMATS.values()}
    return {200: {"description": description, "content": dict.fromkeys(sorted(mimes), binary), "headers": said}}


def ranged_answer(description: str, mimes: set[str] | None = None) -> Responses:
    """An audio answer that also serves a range of itself."""
    whole = audio_answer(description, mimes=mimes)
    part = {**whole[200], "description": "The range that was asked for."}
    return {**whole, 206: part, 304: {"description": "The client has it already."}}

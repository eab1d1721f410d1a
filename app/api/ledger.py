"""Routes for anybody: the signed checkpoints of the log, and proofs out of it. No key, and nothing about accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.accounts.identity import address_of
from app.accounts.throttle import network
from app.api.documented import PUBLIC_ID, Parts, Responses, open_errors
from app.core.errors import Invalid, NotFound
from app.core.pace import Pace
from app.provenance.ledger import checkpoints, proofs
from app.provenance.ledger.keys import registered
from app.provenance.ledger.models import KeyUse, MerkleLeaf, ProvenanceKey
from app.provenance.ledger.notes import verifier_key

router = APIRouter(tags=["Ledger"])

MOST_REQUESTS, WITHIN_SECONDS = 120, 60.0
FOR_A_MINUTE = "public, max-age=60"
FOR_EVER = "public, max-age=31536000, immutable"
HEX = r"^[0-9a-f]{64}$"
MOST_LEAVES = 2**53
Size = Annotated[int, Path(description="Number of leaves.", ge=1, le=MOST_LEAVES)]


class LedgerLeaf(BaseModel):
    """One entry of the ledger, as far as it is public."""

    position: int = Field(description="Its number, from 0.")
    content: str = Field(
        description="What its hash is of: JSON with kind, second of entry, a salted commitment to the record, and the "
        "name that it is found by. The commitment tells nothing without its salt."
    )
    hash: str = Field(description="SHA-256 of a zero byte and the content, hex.")


class LedgerCheckpoint(BaseModel):
    """The ledger at one size, signed."""

    size: int = Field(description="How many leaves it covers.")
    root: str = Field(description="Root of the Merkle tree (RFC 6962), hex.")
    note: str = Field(description="The signed note (C2SP tlog-checkpoint).")


class InclusionProof(BaseModel):
    """Proof that something is in the ledger. `vouch ledger verify` checks it offline."""

    v: int = Field(description="Version of this form: 1.")
    leaf: LedgerLeaf = Field(description="The entry.")
    proof: list[str] = Field(description="Hashes from the leaf up to the root (RFC 6962, 2.1.1), hex.")
    checkpoint: LedgerCheckpoint = Field(description="The newest checkpoint, which the proof leads to.")


class ConsistencyProof(BaseModel):
    """Proof that the ledger was only added to between two sizes."""

    first: int = Field(description="The smaller size.")
    second: int = Field(description="The larger size.")
    proof: list[str] = Field(description="Hashes that lead to both roots (RFC 6962, 2.1.2), hex.")


class LedgerKey(BaseModel):
    """A key that this service uses, or used."""

    use: KeyUse = Field(description="signing (checkpoints, receipts, evidence), credentials, or mark.")
    name: str = Field(description="What it is called here.")
    fingerprint: str = Field(
        description="SHA-256 of the public key's DER form, hex; of a mark key a digest that tells nothing of it."
    )
    public_pem: str | None = Field(description="Public key or certificate; none for mark keys, which are secret.")
    verifier_key: str | None = Field(description="Of a signing key: as tools for signed notes take it.")
    since_unix: int = Field(description="When it was registered, seconds since 1970.")


class LedgerKeys(BaseModel):
    """All keys, oldest first."""

    keys: list[LedgerKey] = Field(description="Each was entered in the ledger before it was used.")


def _note_answer(description: str) -> Responses:
    return {200: {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get(
    "/v1/ledger/checkpoint",
    summary="Newest checkpoint",
    response_class=PlainTextResponse,
    responses={**_note_answer("The signed note."), **open_errors(404, 429)},
)
def latest_ledger_checkpoint(request: Request, services: Parts) -> PlainTextResponse:
    """The newest signed checkpoint of the ledger, as text: origin, number of leaves, root, signature.

    Keep it: a later ledger that does not contain this one was tampered with, and the consistency proof shows it.
    """
    _count(request)
    with services.databases.reading() as session:
        return PlainTextResponse(checkpoints.newest(session).note, headers={"Cache-Control": FOR_A_MINUTE})


@router.get(
    "/v1/ledger/checkpoints/{size}",
    summary="Checkpoint of a size",
    response_class=PlainTextResponse,
    responses={**_note_answer("The signed note."), **open_errors(404, 429)},
)
def ledger_checkpoint(request: Request, services: Parts, size: Size) -> PlainTextResponse:
    """The checkpoint that was signed when the ledger had this many leaves."""
    _count(request)
    with services.databases.reading() as session:
        note = checkpoints.checkpoint_of(session, size).note
    return PlainTextResponse(note, headers={"Cache-Control": FOR_EVER})


@router.get("/v1/ledger/proof/inclusion", summary="Proof of inclusion", responses=open_errors(404, 429))
def ledger_inclusion(
    request: Request,
    response: Response,
    services: Parts,
    ref: Annotated[str | None, Query(description="The name that content credentials carry.", pattern=PUBLIC_ID)] = None,
    sha256: Annotated[str | None, Query(description="SHA-256 of a file as it was delivered, hex.", pattern=HEX)] = None,
    leaf: Annotated[str | None, Query(description="Hash of a leaf, hex.", pattern=HEX)] = None,
) -> InclusionProof:
    """Proof that a generation, a delivered file or a known leaf is under the newest checkpoint. Give one of the three.

    404 with the code `ledger.not_yet` says that it is in the ledger, but was not signed yet.
    """
    _count(request)
    if sum(given is not None for given in (ref, sha256, leaf)) != 1:
        raise Invalid("ledger.which", "Give one of ref, sha256 and leaf.")
    with services.databases.reading() as session:
        found = _leaf(session, ref, sha256, leaf)
        if found is None:
            raise NotFound("ledger.not_found", "The ledger has nothing of this name.")
        said = InclusionProof.model_validate(proofs.document(session, found, checkpoints.newest(session)))
    response.headers["Cache-Control"] = FOR_A_MINUTE
    return said


@router.get("/v1/ledger/proof/consistency", summary="Proof of consistency", responses=open_errors(404, 429))
def ledger_consistency(
    request: Request,
    response: Response,
    services: Parts,
    first: Annotated[int, Query(description="Size of the older checkpoint.", ge=1, le=MOST_LEAVES)],
    second: Annotated[int, Query(description="Size of the newer checkpoint.", ge=1, le=MOST_LEAVES)],
) -> ConsistencyProof:
    """Proof that the ledger of `second` leaves begins with that of `first`: nothing was changed, only added."""
    _count(request)
    if first > second:
        raise Invalid("ledger.order", "The first size is the smaller one.")
    with services.databases.reading() as session:
        if second > checkpoints.newest(session).size:
            raise NotFound("ledger.no_checkpoint", "No checkpoint of this size was signed.")
        steps = proofs.consistency(session, first, second)
    response.headers["Cache-Control"] = FOR_EVER
    return ConsistencyProof(first=first, second=second, proof=[step.hex() for step in steps])


@router.get("/v1/ledger/keys", summary="Keys of the service", responses=open_errors(429))
def ledger_keys(request: Request, response: Response, services: Parts) -> LedgerKeys:
    """The keys that checkpoints, receipts, evidence and content credentials are checked with, and the mark's epochs.

    Compare them with a copy that you have from another place: whoever runs a false service would show false keys.
    """
    _count(request)
    with services.databases.reading() as session:
        origin = checkpoints.origin(services.settings)
        found = [_key(row, origin) for row in registered(session)]
    response.headers["Cache-Control"] = FOR_A_MINUTE
    return LedgerKeys(keys=found)


def _leaf(session: Session, ref: str | None, sha256: str | None, leaf: str | None) -> MerkleLeaf | None:
    if ref is not None:
        return proofs.leaf_of_ref(session, ref)
    if sha256 is not None:
        return proofs.leaf_of_file(session, sha256)
    return proofs.leaf_of_hash(session, bytes.fromhex(leaf or ""))


def _key(row: ProvenanceKey, origin: str) -> LedgerKey:
    signs = row.use is KeyUse.SIGNING and row.public_pem is not None
    return LedgerKey(
        use=row.use,
        name=row.name,
        fingerprint=row.fingerprint,
        public_pem=row.public_pem,
        verifier_key=verifier_key(origin, row.public_pem or "") if signs else None,
        since_unix=int(row.created_at.timestamp()),
    )


def _count(request: Request) -> None:
    state = request.app.state
    if not hasattr(state, "ledger_pace"):
        state.ledger_pace = Pace(MOST_REQUESTS, WITHIN_SECONDS)
    pace: Pace = state.ledger_pace
    pace.take(network(address_of(request)))

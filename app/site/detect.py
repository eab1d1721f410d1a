"""Pages for anybody: was this made here, the answer, its receipt, and checking a receipt."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from app.core.errors import DomainError, NotFound
from app.core.services import Services, services_of
from app.provenance.detection import checking, receipts, service
from app.provenance.detection.asking import ask_by_form, take_pace
from app.provenance.detection.models import Detection
from app.provenance.detection.receiving import small_form
from app.provenance.detection.words import HEADINGS, MEANINGS, problem_of, state_of
from app.settings import Settings
from app.site.pages import in_words, page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]


@router.get("/detect")
def detect_form(request: Request, services: Parts) -> Response:
    """The form, or that there is none."""
    return _form(request, services.settings)


@router.post("/detect")
async def detect(request: Request, services: Parts) -> Response:
    """Have a file searched, and show the page of the answer."""
    try:
        asked = await ask_by_form(request, services)
    except DomainError as error:
        answer = _form(request, services.settings, error)
        if (wait := getattr(error, "retry_after", None)) is not None:
            answer.headers["Retry-After"] = str(wait)
        return answer
    return see(f"/detect/{asked.detection.public_id}")


def _form(request: Request, settings: Settings, error: DomainError | None = None) -> Response:
    limits = settings.provenance
    return page(
        request,
        "detect.html",
        None,
        error.status if error else 200,
        open=limits.detections_per_day > 0,
        per_day=limits.detections_per_day,
        most_bytes=limits.detection_max_bytes,
        most_seconds=service.LONGEST_SECONDS,
        days=service.SAME_ANSWER_FOR.days,
        rates=_rates(receipts.error_rates()),
        error=in_words(error) if error else None,
    )


@router.get("/detect/{detection_id}")
def show(request: Request, detection_id: str, services: Parts) -> Response:
    """One answer: how far it is, then what it is."""
    return _answer_page(request, detection_id, services, "detection.html")


@router.get("/detect/{detection_id}/progress")
def progress(request: Request, detection_id: str, services: Parts) -> Response:
    """The changing part of that page."""
    return _answer_page(request, detection_id, services, "detection_progress.html")


@router.get("/detect/{detection_id}/receipt")
def receipt(request: Request, detection_id: str, services: Parts) -> Response:
    """The signed receipt, to keep."""
    found = _found(request, detection_id, services)
    if found.receipt is None:
        raise NotFound("receipt.missing", "There is no receipt of this check.")
    name = f"vouch-receipt-{found.file_digest[:12]}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(found.receipt, media_type="application/json", headers=headers)


def _answer_page(request: Request, detection_id: str, services: Services, template: str) -> Response:
    found = _found(request, detection_id, services)
    state = state_of(found)
    shown = {
        "id": found.public_id,
        "sha256": found.file_digest,
        "state": state,
        "answer": found.answer.value if found.answer else None,
        "heading": HEADINGS[found.answer] if found.answer else None,
        "meaning": MEANINGS[found.answer] if found.answer else None,
        "problem": problem_of(found),
        "answered_at": found.answered_at,
        "rates": _rates(receipts.read(found.receipt).said["error_rates"]) if found.receipt else None,
    }
    return page(request, template, None, detection=shown, live=state == "waiting")


def _found(request: Request, detection_id: str, services: Services) -> Detection:
    take_pace(request, "look")
    with services.databases.reading() as session:
        return service.detection_of(session, detection_id[:64])


def _rates(told: Any) -> dict[str, Any] | None:
    """The measured error rates for a sentence; None where nothing was measured."""
    return told if isinstance(told, dict) else None


@router.get("/verify-receipt")
def receipt_form(request: Request, services: Parts) -> Response:
    """The form for checking a receipt."""
    return _check_page(request, services)


@router.post("/verify-receipt")
async def verify_receipt(request: Request, services: Parts) -> Response:
    """Whether a receipt is ours and unchanged, and about the file that came along. Nothing of it is kept."""
    try:
        take_pace(request, "verify")
        most = services.settings.provenance.detection_max_bytes
        async with small_form(request, most, fields=2, files=2) as form:
            given = await run_in_threadpool(checking.given, form)
        checked = await run_in_threadpool(_checked, services, given)
    except DomainError as error:
        return _check_page(request, services, error=error)
    return _check_page(request, services, checked=checked)


def _checked(services: Services, given: checking.Given) -> checking.Checked:
    with services.databases.reading() as session:
        return checking.check(given, checking.known_keys(session))


def _check_page(
    request: Request,
    services: Services,
    *,
    checked: checking.Checked | None = None,
    error: DomainError | None = None,
) -> Response:
    return page(
        request,
        "receipt.html",
        None,
        error.status if error else 200,
        checked=_told(checked) if checked else None,
        most_bytes=services.settings.provenance.detection_max_bytes,
        error=in_words(error) if error else None,
    )


def _told(checked: checking.Checked) -> dict[str, Any]:
    """What the page shows of a check: nothing of a receipt that is not ours."""
    if not checked.genuine:
        return {"genuine": False}
    said = checked.receipt.said
    return {
        "genuine": True,
        "heading": HEADINGS[checked.receipt.answer],
        "meaning": MEANINGS[checked.receipt.answer],
        "same_file": checked.same_file,
        "file_sha256": said["file_sha256"],
        "searched_at": said["searched_at"],
        "service": said["service"],
        "public_url": said["public_url"],
        "generations": said["generations_searched"],
        "rates": _rates(said["error_rates"]),
        "key": checked.receipt.key,
    }

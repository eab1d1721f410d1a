"""The page of invoices, read from the payment provider each time: it keeps them, we don't."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.accounts.identity import SignedIn, looking
from app.billing import checkout
from app.billing.gateway import Gateway, GatewayDown, GatewayRefused, InvoiceFacts, gateway_of
from app.core.services import Services, services_of
from app.site.pages import page

router = APIRouter()
_STATES = {"paid": ("Paid", "good"), "open": ("To be paid", "warn"), "uncollectible": ("Not paid", "bad")}


@router.get("/account/invoices")
def show_invoices(
    request: Request,
    caller: SignedIn,
    services: Annotated[Services, Depends(services_of)],
    gateway: Annotated[Gateway | None, Depends(gateway_of)],
) -> Response:
    """The account's invoices, newest first; the page says so when the provider gives none."""
    found: list[InvoiceFacts] | None = []
    if gateway is not None:
        try:
            found = checkout.invoices(services.databases, gateway, caller.account_id)
        except (GatewayDown, GatewayRefused):
            found = None
    with looking(services, caller) as (_, account):
        return page(
            request,
            "invoices.html",
            account,
            provider=services.settings.billing_provider,
            invoices=[_row(invoice) for invoice in found or [] if invoice.number is not None],
            down=found is None,
        )


def _row(invoice: InvoiceFacts) -> dict[str, Any]:
    words, tone = _STATES.get(invoice.status, ("Void", "quiet"))
    return {
        "number": invoice.number,
        "created": invoice.created,
        "cents": invoice.total_cents,
        "currency": invoice.currency.upper(),
        "words": words,
        "tone": tone,
        "page_url": invoice.page_url,
        "pdf_url": invoice.pdf_url,
    }

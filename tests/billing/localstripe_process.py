"""localstripe, a Stripe that others wrote, as a process of its own; and what has moved in Stripe's API since its time.

localstripe answers in the shape that Stripe's API had in 2017: plans in place of prices, the period on the subscription
and no pages of invoices; and what is missing is missing without a code. `present_shape` stands in between and puts
these where the API has them now. What happens to customers, cards, subscriptions and invoices is all localstripe's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.http_server import serve

Object = dict[str, Any]
PASSED_ON = ("authorization", "content-type")


@contextmanager
def localstripe() -> Iterator[str]:
    """Run localstripe on a free port; the value is its address."""
    command = [sys.executable, "-u", "-m", "localstripe", "--from-scratch", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "Running on" in line)
            yield f"http://127.0.0.1:{said.rpartition(']:')[2].split()[0]}"
        finally:
            process.terminate()


@contextmanager
def present_shape(address: str) -> Iterator[str]:
    """Serve the localstripe at `address` in the present shape of the API; the value is the new address."""
    with httpx2.Client(base_url=address, timeout=20) as client:

        def forward(request: Request, body: bytes) -> Response:
            query = [each for each in request.query_params.multi_items() if not each[0].startswith("expand")]
            headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
            answer = client.request(request.method, request.url.path, params=query, content=body, headers=headers)
            answered = moved(answer.json())
            if answer.status_code == 404:
                answered["error"]["code"] = "resource_missing"
            return JSONResponse(answered, answer.status_code)

        async def pass_on(request: Request) -> Response:
            return await run_in_threadpool(forward, request, await request.body())

        with serve(Starlette(routes=[Route("/{path:path}", pass_on, methods=["GET", "POST", "DELETE"])])) as url:
            yield url


def moved(answer: Any) -> Any:
    """An answer with everything where the API has it now."""
    if isinstance(answer, list):
        return [moved(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    move = _MOVES.get(str(answer.get("object")), dict)
    return {name: moved(value) for name, value in move(answer).items()}


def _subscription(found: Object) -> Object:
    period = {name: found[name] for name in ("current_period_start", "current_period_end")}
    items = found["items"] | {"data": [item | period for item in found["items"]["data"]]}
    return found | {"items": items, "default_payment_method": None}


def _item(found: Object) -> Object:
    plan = found["plan"]
    recurring = {name: plan[name] for name in ("interval", "interval_count", "usage_type")}
    price = {"object": "price", "id": plan["id"], "lookup_key": plan["id"], "metadata": {}, "recurring": recurring}
    return found | {"price": price}


def _invoice(found: Object) -> Object:
    return {"number": None, "hosted_invoice_url": None, "invoice_pdf": None} | found


_MOVES: dict[str, Callable[[Object], Object]] = {
    "subscription": _subscription,
    "subscription_item": _item,
    "invoice": _invoice,
}

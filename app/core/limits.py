"""Middleware that every request passes: size of bodies, same-origin forms, security headers. Pure ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import DomainError, Forbidden, TooLarge
from app.core.rendering import error_response

_DRAIN_SECONDS = 5.0
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_OWN_FORMS = "form-action 'self'"
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        _OWN_FORMS,
        "base-uri 'none'",
        "object-src 'none'",
    )
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TLS_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
_PERSONAL = ("text/html", "application/json", "application/problem+json")


class BodyLimit:
    """Refuses request bodies of more than `max_bytes` with 413, at once when the length is announced, else by counting.

    Whatever the application makes of the cut-off body is dropped. The rest of the body is read and thrown away for a
    bounded while, because a client that is still sending would otherwise see a broken connection, not the answer.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await self._refuse(scope, receive, send)
            return
        counted, started, over = 0, False, False

        async def counting() -> Message:
            nonlocal counted, over
            message = await receive()
            counted += len(message.get("body", b""))
            over = over or counted > self.max_bytes
            if over:
                raise ClientDisconnect
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if over and not started:
                return
            started = True
            await send(message)

        try:
            await self.app(scope, counting, watched)
        except Exception:
            if not over or started:
                raise
        if over and not started:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = TooLarge(
            "body.too_large",
            f"This is more than {_size(self.max_bytes)}, the most that one request may send.",
            fix="Send a smaller or shorter file.",
        )

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
                return
            await send({**message, "more_body": True})
            await self._drain(receive)
            await send({"type": "http.response.body", "body": b""})

        await error_response(Request(scope), said)(scope, receive, closing)

    @staticmethod
    async def _drain(receive: Receive) -> None:
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            return


class SameOrigin:
    """Refuses writes from other sites' pages (POST, PUT, PATCH, DELETE outside /v1 and /v2, where keys are used).

    `Sec-Fetch-Site` decides where the browser sends it; else `Origin` must be `public_url` or the request's own host;
    with neither, a request that carries a cookie is refused.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.public_url = public_url.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._allows(scope):
            await self.app(scope, receive, send)
            return
        said = _other_site()
        await error_response(Request(scope), said)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        if scope["method"] not in _UNSAFE or scope["path"].startswith(("/v1/", "/v2/")):
            return True
        headers = Headers(scope=scope)
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site in ("same-origin", "none")
        if origin is not None:
            own = {self.public_url, f"{scope['scheme']}://{headers.get('host', '')}"}
            return origin in own
        return "cookie" not in headers


class SecurityHeaders:
    """Adds the security headers that an answer has not set itself, and `no-store` to pages and JSON.

    `tls_only` adds Strict-Transport-Security for a year: browsers then refuse to come by plain HTTP. `forms_to` are
    other origins to which a form may lead, such as the payment page that our answer to a form redirects to.
    """

    def __init__(self, app: ASGIApp, tls_only: bool = False, forms_to: Sequence[str] = ()) -> None:
        self.app = app
        policy = _CONTENT_SECURITY_POLICY.replace(_OWN_FORMS, " ".join((_OWN_FORMS, *forms_to)))
        self.headers = _HEADERS | {"Content-Security-Policy": policy} | (_TLS_ONLY if tls_only else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith(_PERSONAL):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


def _other_site() -> DomainError:
    return Forbidden(
        "request.other_site",
        "This request came from another site, so it was not carried out.",
        fix="Open the page here and send the form again.",
    )


def _size(count: int) -> str:
    mebibytes = count / (1024 * 1024)
    return f"{mebibytes:.0f} MB" if mebibytes >= 1 else f"{count} bytes"

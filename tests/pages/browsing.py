"""Browsers of test people, and what a page is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx2

from app.accounts.models import Account
from app.accounts.registration import NewAccount
from tests.harness import Service

SECOND_STEP = "/login/second-step"
OWN_FORM = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Site": "same-origin"}


def visitor(service: Service) -> httpx2.Client:
    """A browser's headers and cookies; redirects are looked at, not followed."""
    return httpx2.Client(base_url=service.url, headers=OWN_FORM, timeout=30)


def log_in(client: httpx2.Client, email: str, password: str, **fields: str) -> httpx2.Response:
    """Send the form of the sign-in page."""
    return client.post("/login", data={"email": email, "password": password, **fields})


@dataclass(frozen=True)
class Visitor:
    """Somebody who has signed in."""

    account: Account
    password: str
    api_key: str
    client: httpx2.Client

    @classmethod
    def of(cls, service: Service, made: NewAccount) -> Visitor:
        """Sign a new account in, with the second step where it has one."""
        client = visitor(service)
        answer = log_in(client, made.account.email, made.password)
        if answer.headers.get("location") == SECOND_STEP:
            answer = client.post(SECOND_STEP, data={"code": service.world.code(made.account)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return cls(made.account, made.password, made.api_key, client)

    def get(self, path: str, **given: Any) -> httpx2.Response:
        """A page."""
        return self.client.get(path, **given)

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form without files."""
        return self.client.post(path, data=fields)


@dataclass
class Page(HTMLParser):
    """What a page consists of, as far as the tests ask. `text` has single spaces."""

    title: str = ""
    text: str = ""
    links: set[str] = field(default_factory=set)
    forms: list[tuple[str, str]] = field(default_factory=list)
    """Method and action of each form."""
    assets: set[str] = field(default_factory=set)
    """Own style sheets, scripts and icons."""
    inline: list[str] = field(default_factory=list)
    """Scripts, styles and handlers inside the page."""
    unlabelled: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._labels: set[str] = set()
        self._fields: list[tuple[str, bool, str]] = []

    @classmethod
    def read(cls, html: str) -> Page:
        """Parse a page."""
        page = cls()
        page.feed(html)
        page.close()
        page.text = " ".join(page.text.split())
        page.unlabelled = [what for key, named, what in page._fields if not named and key not in page._labels]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self._open.append(tag)
        match tag:
            case "a":
                self.links.add(given.get("href", ""))
            case "form":
                self.forms.append((given.get("method", "get").lower(), given.get("action", "")))
            case "label":
                self._labels.add(given.get("for", ""))
            case "link":
                self.assets.add(given["href"])
            case "script" if "src" in given:
                self.assets.add(given["src"])
            case "use":
                self.assets.add(given["href"].partition("#")[0])
            case "audio" if given.get("src"):
                self.links.add(given["src"])
            case "style" | "script":
                self.inline.append(tag)
            case "input" | "select" | "textarea":
                self._note_field(tag, given)

    def _note_field(self, tag: str, given: dict[str, str]) -> None:
        if given.get("type") == "hidden" or "hidden" in given:
            return
        named = "aria-label" in given or "label" in self._open
        self._fields.append((given.get("id", ""), named, f"{tag} {given.get('name')}"))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data
        elif not {"script", "style"} & set(self._open):
            self.text += f" {data}"


def own_path(address: str) -> str:
    """Path and query of an address on this site; fails for another site."""
    parts = urlsplit(address)
    assert not parts.scheme, address
    assert not parts.netloc, address
    return address.partition("#")[0]

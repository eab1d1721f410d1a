"""Signing in and out: where it leads, what it gives away, and when it stops working."""

from __future__ import annotations

from urllib.parse import quote

import httpx2
import pytest

from app.accounts.models import Account, FailedLogin, Standing
from app.core.db import now
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor
from tests.pages.gallery import Gallery

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\x00/evil.example",
    "/a\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
]


def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(gallery: Gallery) -> None:
    with visitor(gallery.service) as stranger:
        inside = {path.partition("#")[0] for path in gallery.paths() if not path.startswith("/detect/")}
        for path in inside - {"/"}:
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(path)}")
            form = Page.read(stranger.get(answer.headers["location"]).text)
            assert form.title.startswith("Sign in")
        assert stranger.get("/").status_code == 200  # the front page


def test_signing_in_leads_back_with_the_query(service: Service, stranger: httpx2.Client) -> None:
    made = service.world.newcomer()
    asked = stranger.get("/speak?voice_id=a&next=//evil.example")
    assert asked.headers["location"] == "/login?next=/speak%3Fvoice_id%3Da%26next%3D//evil.example"
    assert 'value="/speak?voice_id=a&amp;next=//evil.example"' in stranger.get(asked.headers["location"]).text
    back = log_in(stranger, made.account.email, made.password, next="/speak?voice_id=a")
    assert (back.status_code, back.headers["location"]) == (303, "/speak?voice_id=a")
    too_long = stranger.get("/login", params={"next": "/speak?voice_id=" + "a" * 300})
    assert 'name="next" value="/"' in too_long.text


def test_a_part_of_a_page_leads_back_to_the_whole(gallery: Gallery) -> None:
    path = gallery.shown["voice checking"][0]
    with visitor(gallery.service) as stranger:
        assert stranger.get(f"{path}/progress").headers["location"] == f"/login?next={path}"
        polled = stranger.get(f"{path}/progress", headers={"HX-Request": "true"})
        assert (polled.status_code, polled.headers["hx-refresh"]) == (401, "true")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_signing_in_never_leads_to_another_site(service: Service, stranger: httpx2.Client, target: str) -> None:
    made = service.world.newcomer()
    form = stranger.get("/login", params={"next": target})
    assert "evil" not in form.text
    assert "javascript:" not in form.text
    answer = log_in(stranger, made.account.email, made.password, next=target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_forms_of_who_is_not_signed_in_do_nothing(gallery: Gallery) -> None:
    with visitor(gallery.service) as stranger:
        for path in ("/speak", "/account/keys", "/account/password", "/logout", "/console/trace"):
            answer = stranger.post(path, data={"name": "x", "text": "x"})
            assert answer.status_code in (303, 422), path
            assert answer.headers.get("location", "/login") == "/login", path


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(service: Service, stranger: httpx2.Client) -> None:
    made = service.world.newcomer()
    cookie = log_in(stranger, made.account.email, made.password).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie


def test_a_wrong_password_and_an_unknown_address_say_the_same(service: Service, stranger: httpx2.Client) -> None:
    known = service.world.newcomer().account.email
    answers = [log_in(stranger, email, "not the password") for email in (known, "nobody@example.org")]
    assert [answer.status_code for answer in answers] == [401, 401]
    said = [answer.text.replace(known, "X").replace("nobody@example.org", "X") for answer in answers]
    assert said[0] == said[1]
    assert "E-mail or password is wrong." in said[0]


def test_eleven_wrong_passwords_shut_out_that_address_only(service: Service, stranger: httpx2.Client) -> None:
    made, other = service.world.newcomer(), service.world.newcomer()
    for _ in range(10):
        assert log_in(stranger, made.account.email, "wrong").status_code == 401
    for password in ("wrong", made.password):
        answer = log_in(stranger, made.account.email.upper(), password)
        assert answer.status_code == 429
        assert "Try again in an hour." in answer.text
    assert log_in(stranger, other.account.email, other.password).status_code == 303
    assert service.world.count(FailedLogin) >= 10


@pytest.mark.parametrize("email", ["a\x00b@example.org", "x" * 300, "\u202e@example.org", "' OR 1=1 --", "🦆"])
def test_odd_addresses(stranger: httpx2.Client, email: str) -> None:
    answer = log_in(stranger, email, "🔑" * 100)
    assert answer.status_code == 401
    assert "E-mail or password is wrong." in answer.text


def test_too_long_a_form_is_refused_in_plain_words(stranger: httpx2.Client) -> None:
    answer = log_in(stranger, "a@example.org", "x" * 301)
    assert answer.status_code == 422
    assert "Part of what was sent is missing, too long or not what it should be" in answer.text
    assert "String should have" not in answer.text


def test_a_banned_account_is_out_at_once(service: Service, customer: Visitor) -> None:
    person = customer
    assert person.get("/account").status_code == 200
    service.world.set_standing(person.account, Standing.BANNED)
    for path in ("/", "/account", "/speak", "/voices/new", "/history"):
        answer = person.get(path)
        assert answer.status_code == 403, path
        assert "This account has been closed for breaking the rules." in answer.text
        assert person.account.email not in answer.text
    assert person.post("/account/keys", name="late", scope="read").status_code == 403
    with visitor(service) as client:
        assert log_in(client, person.account.email, person.password).status_code == 403
        assert "set-cookie" not in log_in(client, person.account.email, person.password).headers


def test_signing_out_ends_the_session(customer: Visitor, service: Service) -> None:
    token = customer.client.cookies["vouch_session"]
    answer = customer.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    with visitor(service) as thief:
        thief.cookies.set("vouch_session", token)
        assert thief.get("/account").status_code == 303


def test_an_expired_session_is_over(customer: Visitor, service: Service) -> None:
    service.world.execute("UPDATE login_session SET expires_at = :then", then=now().replace(tzinfo=None))
    assert customer.get("/account").status_code == 303
    assert service.world.get(Account, customer.account.id).state is Standing.ACTIVE

"""Production refuses each insecure default by name, and takes a safe configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings

WEB = {"secure_cookies": True, "public_url": "https://vouch.example.org", "secret_file": "/etc/vouch/secret.key"}
SAFE: dict[str, Any] = {
    "environment": "production",
    "database": {"url": "postgresql://vouch@db/vouch"},
    "broker": {"url": "redis://broker/0"},
    "web": WEB,
    "mail": {"url": "smtp://mail.example.org"},
    "provenance": {"key_directory": "/etc/vouch/keys"},
}


def test_a_safe_configuration_is_taken() -> None:
    assert Settings(**SAFE).database_url == "postgresql+psycopg://vouch@db/vouch"


@pytest.mark.parametrize("broker", ["redis://b/0", "rediss://b/0", "amqp://b", "amqps://b"])
def test_every_real_broker_is_taken(broker: str) -> None:
    assert Settings(**{**SAFE, "broker": {"url": broker}}).broker.url == broker


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"database": {}}, "VOUCH_DATABASE__URL"),
        ({"database": {"url": "sqlite:///here.db"}}, "VOUCH_DATABASE__URL"),
        ({"database": {"url": "mysql://db/vouch"}}, "VOUCH_DATABASE__URL"),
        ({"broker": {}}, "VOUCH_BROKER__URL"),
        ({"broker": {"url": "filesystem://"}}, "VOUCH_BROKER__URL"),
        ({"broker": {"url": "memory://"}}, "VOUCH_BROKER__URL"),
        ({"web": {**WEB, "secure_cookies": False}}, "VOUCH_WEB__SECURE_COOKIES"),
        ({"web": {**WEB, "public_url": ""}}, "VOUCH_WEB__PUBLIC_URL"),
        ({"web": {**WEB, "public_url": "http://vouch.example.org"}}, "VOUCH_WEB__PUBLIC_URL"),
        ({"web": {**WEB, "secret_file": None}}, "VOUCH_WEB__SECRET_FILE"),
        ({"mail": {}}, "VOUCH_MAIL__URL"),
        ({"mail": {"url": "console:"}}, "VOUCH_MAIL__URL"),
        ({"billing": {"stripe_secret_key": "sk_live_1"}}, "VOUCH_BILLING__STRIPE_WEBHOOK_SECRET"),
        ({"accounts": {"staff_second_factor": False}}, "VOUCH_ACCOUNTS__STAFF_SECOND_FACTOR"),
        ({"provenance": {}}, "VOUCH_PROVENANCE__KEY_DIRECTORY"),
        ({"test_consent_statement": "Yes."}, "VOUCH_TEST_CONSENT_STATEMENT"),
    ],
)
def test_production_names_what_is_not_safe(change: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match="not safe for production") as caught:
        Settings(**{**SAFE, **change})
    named = {word for word in str(caught.value).split() if word.startswith("VOUCH_")}
    assert named == {name}


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(environment="production")
    assert str(caught.value).count("VOUCH_") == 7


@pytest.mark.parametrize(
    ("change", "provider"),
    [
        ({"environment": "development"}, "sandbox"),
        ({}, "operator"),
        ({"billing": {"stripe_secret_key": "sk_live_1", "stripe_webhook_secret": "whsec_1"}}, "stripe"),
    ],
)
def test_there_is_no_sandbox_in_production(change: dict[str, Any], provider: str) -> None:
    assert Settings(**{**SAFE, **change}).billing_provider == provider


def test_settings_cannot_be_changed_after_start() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.environment = "production"
    with pytest.raises(ValidationError, match="frozen"):
        settings.jobs.max_attempts = 9


def test_a_misspelt_group_member_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOUCH_DATABASE__URI", "postgresql://db")
    with pytest.raises(ValidationError, match="uri"):
        Settings()

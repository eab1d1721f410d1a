"""docker-compose.yml, Dockerfile and deploy/example.env fit each other and the settings. No Docker is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.up import parts_of
from app.core import smtp
from app.settings import Frozen, Settings
from workers.celery_app import app as celery

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ONE_SHOT = {"migrate", "bucket"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as YAML."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def example() -> dict[str, str]:
    """deploy/example.env with each empty secret filled in."""
    lines = (ROOT / "deploy" / "example.env").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {name: value or "0f0f" for name, value in pairs}


def filled(value: str, given: dict[str, str]) -> str:
    """The value as compose would make it; fails for a variable that the example does not name."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: given[match[1]], value)


@pytest.mark.parametrize("name", ["migrate", "web", "relay", "beat", "errands", "worker-cpu", "worker-gpu"])
def test_its_environment_is_safe_for_production(
    compose: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = example()
    images = dict(re.findall(r"(VOUCH_[A-Z_]+)=(\S+)", DOCKERFILE))
    own = {key: filled(value, given) for key, value in compose["services"][name]["environment"].items()}
    for key, value in {**given, **images, **own}.items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.environment == "production"
    assert settings.database_url == "postgresql+psycopg://vouch:0f0f@postgres:5432/vouch"
    known = {f"VOUCH_{group}".upper() for group in Settings.model_fields} | {"VOUCH_MODEL_CACHE"}
    named = {key for key in {**given, **images, **own} if key.startswith("VOUCH_")}
    unknown = {key for key in named if key.split("__")[0] not in known}
    assert not unknown


def commented() -> dict[str, str]:
    """The settings that deploy/example.env names in comments, with the values that it gives."""
    return dict(re.findall(r"^# (VOUCH_\w+)=(.*)$", (ROOT / "deploy" / "example.env").read_text(), re.MULTILINE))


def every_setting() -> set[str]:
    """The name of each setting as a variable."""
    names = set()
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        inner = kind.model_fields if isinstance(kind, type) and issubclass(kind, Frozen) else {"": None}
        names |= {f"VOUCH_{name}__{key}".upper() if key else f"VOUCH_{name}".upper() for key in inner}
    return names


def test_the_commented_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was renamed, or whose default has changed, would mislead."""
    monkeypatch.delenv("VOUCH_LOG_LEVEL")
    default = Settings()
    for key, value in commented().items():
        monkeypatch.setenv(key, value)
    assert Settings() == default


def test_every_setting_stands_in_the_example_or_is_made_by_the_deployment(compose: dict[str, Any]) -> None:
    made = set(re.findall(r"(VOUCH_[A-Z_0-9]+)=", DOCKERFILE)) | set(compose["x-vouch"]["environment"])
    served = {"VOUCH_WEB__HOST", "VOUCH_WEB__PORT"}  # uvicorn is told by its command
    assert every_setting() - made - served - set(commented()) - set(example()) == {"VOUCH_TEST_CONSENT_STATEMENT"}


def celery_options(command: list[str]) -> set[str]:
    """The options of a worker's command that decide what it does."""
    words = [word for word in command[command.index("worker") + 1 :] if not word.startswith(("-n", "--loglevel"))]
    return {word for word in words if "@" not in word}


def test_the_process_for_errands_is_the_same_on_one_machine_and_in_containers(compose: dict[str, Any]) -> None:
    parts = {part.name: list(part.command) for part in parts_of(Settings())}
    contained = compose["services"]["errands"]["command"]
    assert celery_options(parts["errands"]) == celery_options(contained)
    assert celery_options(contained) >= {"-Q", "errands", "-P", "threads", "-c", "4"}
    assert celery.conf.beat_schedule["sweep"]["options"]["queue"] == "errands"


def test_only_workers_see_the_keys_of_the_mark_and_only_setting_up_writes_any(compose: dict[str, Any]) -> None:
    mounts = {name: service.get("volumes", ()) for name, service in compose["services"].items()}
    assert {name for name, mounted in mounts.items() if any(one.startswith("keys:") for one in mounted)} == {
        "migrate",
        "worker-cpu",
        "worker-gpu",
    }
    writable = {one for mounted in mounts.values() for one in mounted if one in ("keys:/keys", "secrets:/secrets")}
    assert writable <= set(mounts["migrate"])
    assert mounts["web"] == ["secrets:/secrets:ro"]
    assert {name for name, mounted in mounts.items() if "signing:/signing" in mounted} == {"migrate"}
    assert not any("keys:" in one for one in mounts["errands"])


def test_who_checks_the_ledger_finds_the_copies_that_the_errands_process_made(compose: dict[str, Any]) -> None:
    """`vouch doctor --ledger` is run as `migrate`, like all commands."""
    assert "checkpoints:/checkpoints" in compose["services"]["errands"]["volumes"]
    assert "checkpoints:/checkpoints:ro" in compose["services"]["migrate"]["volumes"]


def test_the_example_names_a_mail_server() -> None:
    server = smtp.Server.parse(example()["VOUCH_MAIL__URL"])
    assert (server.host, server.port, server.user, server.password) == ("mail.example.org", 587, "vouch", "secret")


def test_what_runs_has_a_health_check_and_what_it_waits_for_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    checked = {stage for stage in stages if "HEALTHCHECK" in stage_text(stage)}
    for name, service in services.items():
        if "build" in service:
            assert service["build"]["target"] in stages
        if name not in ONE_SHOT:
            assert "healthcheck" in service or service["build"]["target"] in checked, name
        assert set(service.get("depends_on", ())) <= set(services)
        volumes = {volume.split(":")[0] for volume in service.get("volumes", ())}
        assert volumes <= set(compose["volumes"])


def stage_text(stage: str) -> str:
    """The lines of one stage of the Dockerfile."""
    return DOCKERFILE.split(f" AS {stage}\n", 1)[1].split("\nFROM ", 1)[0]


def test_no_image_runs_as_root() -> None:
    for stage in ("web", "worker-cpu", "worker-gpu"):
        assert "\nUSER vouch\n" in stage_text(stage), stage


def test_the_gpu_worker_reserves_an_nvidia_device(compose: dict[str, Any]) -> None:
    (device,) = compose["services"]["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}

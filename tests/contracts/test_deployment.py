"""docker-compose.yml, Dockerfile and deploy/example.env fit each other and the settings. No Docker is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

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


@pytest.mark.parametrize("name", ["migrate", "web", "relay", "beat", "worker-cpu", "worker-gpu"])
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


def test_every_setting_that_the_example_comments_exists() -> None:
    """A commented setting that was renamed would mislead; extra settings of a group are refused by it."""
    named = re.findall(r"^# (VOUCH_\w+)=", (ROOT / "deploy" / "example.env").read_text(), re.MULTILINE)
    for name in named:
        group, _, field = name.removeprefix("VOUCH_").lower().partition("__")
        annotation = Settings.model_fields[group].annotation
        assert not field or field in annotation.model_fields, name  # type: ignore[union-attr]


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

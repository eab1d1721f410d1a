"""What only the worker side can tell `vouch doctor`: can the broker be reached, are the model weights there?

`python -m workers.selfcheck` writes a JSON list of {part, works, seen, fix}. `python -m workers.selfcheck broker` only
tells by its exit code whether the broker can be reached: the health check of containers.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.settings import Settings, get_settings
from workers.celery_app import app
from workers.engines.base import EngineError
from workers.engines.registry import ENGINES, get_engine
from workers.known_signers import KeysMissing, further_anchors, operators_signer
from workers.marks.certificates import certificates
from workers.weights import CATALOG, Weights

BROKER_SECONDS = 3.0


def broker() -> dict[str, Any]:
    """Whether the broker takes connections."""
    try:
        with app.connection_for_write(connect_timeout=BROKER_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
            connection.default_channel.queue_declare("vouch.selfcheck", auto_delete=True)
    except Exception as error:  # each transport has errors of its own
        return _entry("broker", False, str(error), "Start the broker, or correct VOUCH_BROKER__URL.")
    return _entry("broker", True, "takes messages")


def engine(name: str) -> dict[str, Any]:
    """Whether the engine of the settings is known, and its licence."""
    try:
        info = get_engine(name).info
    except (EngineError, ImportError) as error:
        return _entry("engine", False, str(error), "Choose one with VOUCH_SPEECH__ENGINE.")
    use = "audio may be sold" if info.commercial else "audio may NOT be sold"
    return _entry("engine", True, f"{name}: {info.licence}, {use}; weights: {ENGINES[name].weights}")


def certificate(settings: Settings) -> Iterator[dict[str, Any]]:
    """Whether the operator's certificate and further authorities can be used; nothing where none are set up."""
    given = settings.provenance
    if not (given.certificate_file or given.certificate_key_file or given.trust_anchors_file):
        return
    fix = "Mend the files or the settings; without a usable certificate no clip is made."
    try:
        signer = operators_signer(settings)
        further_anchors(settings)
    except KeysMissing as error:
        yield _entry("certificate", False, str(error), fix)
        return
    seen = "further authorities can be used"
    if signer is not None:
        leaf = certificates(signer.chain_pem)[0]
        seen = f"{leaf.subject.rfc4514_string()}, until {leaf.not_valid_after_utc:%Y-%m-%d}"
    yield _entry("certificate", True, seen)


def models() -> Iterator[dict[str, Any]]:
    """One entry a model, with licence and size."""
    for name, weights in CATALOG.items():
        missing = [package for package, path in _parts(weights) if path is None or not path.is_file()]
        if missing:
            seen = f"{name}: the package {missing[0]} is missing"
            yield _entry("model", False, seen, "Install requirements/weights.txt.")
        else:
            size = sum(path.stat().st_size for _, path in _parts(weights) if path is not None)
            yield _entry("model", True, f"{name}: {weights.licence}, {size / 2**20:.1f} MiB")


def _parts(weights: Weights) -> Iterator[tuple[str, Path | None]]:
    """Each package file of a model: the package and where the file should be; None without the package."""
    for file in weights.files:
        for package, relative in file.parts:
            spec = importlib.util.find_spec(package)
            folders = spec.submodule_search_locations if spec else None
            yield package, Path(next(iter(folders))) / relative if folders else None


def _entry(part: str, works: bool, seen: str, fix: str = "") -> dict[str, Any]:
    return {"part": part, "works": works, "seen": seen, "fix": fix}


def main() -> None:
    """Write everything as JSON, or tell about the broker alone."""
    if sys.argv[1:] == ["broker"]:
        sys.exit(0 if broker()["works"] else 1)
    settings = get_settings()
    json.dump([broker(), engine(settings.speech.engine), *certificate(settings), *models()], sys.stdout)


if __name__ == "__main__":
    main()

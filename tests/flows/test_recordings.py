"""Recordings on their way from the storage to the ears of a worker."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import NotFound
from app.settings import Settings
from workers.recordings import CLEAN_RATE, cleaned, decoded, fetched, keep
from workers.tools import Tools


def test_what_was_fetched_has_no_name_that_could_stay_behind(
    sqlite_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    tools = Tools(sqlite_settings)
    tools.storage.put("uploads/a", b"somebody speaks")
    with fetched("uploads/a", tools) as file:
        assert file.read() == b"somebody speaks"
        assert os.fstat(file.fileno()).st_nlink == 0
        assert list(scratch.iterdir()) == []
    with pytest.raises(NotFound), fetched("uploads/b", tools):
        pass


def test_what_is_kept_is_the_recordings_one_after_the_other(sqlite_settings: Settings) -> None:
    tools = Tools(sqlite_settings)
    tone = (0.3 * np.sin(np.arange(CLEAN_RATE) / 20)).astype(np.float32)
    keep("samples/a.flac", tone, tools)
    one = decoded("samples/a.flac", 2.0, tools)
    keep("samples/b.flac", cleaned([one, one]), tools)
    both = decoded("samples/b.flac", 3.0, tools)
    assert (both.sample_rate, both.source.container) == (CLEAN_RATE, "flac")
    np.testing.assert_allclose(both.pcm, np.concatenate([tone, tone]), atol=1e-4)

"""The cloning worker, when a voice is made a second time because its consent was revoked and given again."""

from __future__ import annotations

import io

import numpy as np
from sqlalchemy import select

from app.jobs.models import JobKind
from app.settings import Settings
from app.voices.models import Sample, Voice, VoiceState
from app.voices.results import SampleFindings
from tests.world import World
from workers.recordings import CLEAN_RATE, keep
from workers.runtime import work_off
from workers.tools import Tools

FIGURES = {"f0_median": 120.0, "f0_log_sd": 0.2, "rate": 4.5}
DIRECTION = np.full(256, 1 / 16, np.float32)


def test_a_voice_made_again_gets_an_artefact_of_its_own_and_the_old_one_is_erased(sqlite_settings: Settings) -> None:
    tools = Tools(sqlite_settings)
    world = World(sqlite_settings, tools.databases)
    voice = world.start_voice(world.account())
    (sample,) = world.rows(select(Sample))
    keep(f"samples/{sample.id}/clean.flac", np.full(CLEAN_RATE, 0.1, np.float32), tools)
    np.savez(packed := io.BytesIO(), dvector=DIRECTION, resemblyzer=DIRECTION)
    tools.storage.put(f"samples/{sample.id}/voiceprint.npz", packed.getvalue())
    findings = SampleFindings([], [], FIGURES, 60.0, [0.5], f"samples/{sample.id}/clean.flac")
    world.judge_sample(world.take(JobKind.INTAKE), findings)
    keys = []
    for _ in range(2):
        world.give_consent(voice)
        work_off("gpu", tools)
        made = world.get(Voice, voice.id)
        assert made.state is VoiceState.READY, made.problem
        keys.append(made.artefact_key)
        world.revoke(voice)
    assert keys[0] != keys[1]
    assert tools.storage.list(f"voices/{voice.id}/") == [keys[1]]
    tools.databases.close()

"""A worker that hangs ends itself, and a voice that was taken away refuses its waiting clips."""

from __future__ import annotations

import subprocess
import sys

from app.jobs.models import Job, JobState
from app.settings import Settings
from tests.world import World
from workers.keys import init_keys
from workers.runtime import STUCK, work_off
from workers.tools import Tools

HANG = """
import sys, threading
from app.settings import Settings
from workers.runtime import Keeper
from workers.tools import Tools

settings = Settings(data_dir=sys.argv[1], jobs={"lease": 0.3, "time_limit": 0.2})
with Keeper([], Tools(settings)):
    threading.Event().wait(60)
"""


def test_a_claim_that_never_ends_ends_its_process(sqlite_settings: Settings) -> None:
    command = [sys.executable, "-c", HANG, str(sqlite_settings.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == STUCK, done.stderr
    assert "worker.stuck" in done.stdout + done.stderr


def test_a_clip_of_a_voice_that_was_taken_away_is_refused_with_its_rule(sqlite_settings: Settings) -> None:
    init_keys(sqlite_settings.key_directory, "Vouch")
    tools = Tools(sqlite_settings)
    world = World(sqlite_settings, tools.databases)
    clip = world.speak(world.account(), world.stock_voice())
    world.execute("UPDATE voice SET state = 'disabled'")
    work_off(sqlite_settings.jobs.speech_queue, tools)
    job = world.get(Job, clip.job_id)
    assert (job.state, job.error_code) == (JobState.REFUSED, "voice_not_ready")
    tools.databases.close()

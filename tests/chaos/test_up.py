"""`vouch up` for real: start, stop, and what goes wrong on a real machine."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.accounts.models import Account
from app.billing.models import EntryKind, LedgerEntry
from app.core import mail
from app.core.db import Databases
from app.jobs.models import Job, JobState
from app.provenance.models import Stamp
from app.settings import Settings
from app.speech.models import Clip, Generation
from app.speech.service import ask_for_speech
from app.voices.models import Voice
from tests.chaos.service import Service, alive, environment, running, until, vouch

pytestmark = pytest.mark.slow

JOB_SECONDS = 60.0
EMAIL = "ada@example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service with an account, shared by the tests that leave it running."""
    with running(tmp_path_factory.mktemp("up") / "data") as started:
        options = ("--email", EMAIL, "--plan", "creator", "--verified", "--json")
        made = vouch(started.environment, "admin", "create-account", *options)
        assert json.loads(made.stdout)["email"] == EMAIL, made.stderr
        yield started


@pytest.fixture
def databases(service: Service) -> Iterator[Databases]:
    """The service's own database."""
    opened = Databases(Settings(data_dir=service.data))
    yield opened
    opened.close()


def speak(databases: Databases, text: str) -> uuid.UUID:
    """Ask for a clip by a stock voice; gives the id of its job."""
    with databases.writing() as session:
        voice = session.scalars(select(Voice).where(Voice.stock_id == "fake-low")).one()
        account = session.scalars(select(Account).where(Account.email == EMAIL)).one()
        clip = ask_for_speech(
            session, account, voice_id=voice.public_id, text=text, output_format="wav_24000", settings=Settings()
        )
        return clip.job_id


def job_of(databases: Databases, job_id: uuid.UUID) -> Job:
    """The job as it is now."""
    with databases.reading() as session:
        return session.get_one(Job, job_id)


def results_of(databases: Databases, job_id: uuid.UUID) -> tuple[int, int]:
    """How many stamps and how many charges the job has led to."""
    with databases.reading() as session:
        made = select(Generation.id).join(Clip, Clip.id == Generation.clip_id).where(Clip.job_id == job_id)
        stamps = select(func.count(Stamp.id)).where(Stamp.generation_id.in_(made))
        charges = select(func.count(LedgerEntry.id)).where(
            LedgerEntry.job_id == job_id, LedgerEntry.kind == EntryKind.SETTLE
        )
        return session.scalar(stamps) or 0, session.scalar(charges) or 0


def test_it_serves_and_has_stock_voices(service: Service, databases: Databases) -> None:
    assert service.ready()["status"] == "ready"
    with databases.reading() as session:
        states = {voice.stock_id: voice.state for voice in session.scalars(select(Voice))}
    assert states == {"fake-low": "ready", "fake-high": "ready"}


def test_nobody_else_may_open_the_data_directory(service: Service) -> None:
    assert service.data.stat().st_mode & 0o077 == 0
    assert (service.data / "vouch.db").stat().st_mode & 0o077 == 0


def test_a_second_service_on_the_same_directory_is_refused(service: Service) -> None:
    second = vouch(service.environment, "up", "--port", "0")
    assert second.returncode == 1
    assert f"process {service.process.pid}" in second.stderr
    assert "--data DIR" in second.stderr


def test_a_job_outlives_its_worker(service: Service, databases: Databases) -> None:
    job_id = speak(databases, "[[slow]] This sentence is cut off by the death of its worker.")
    until(lambda: job_of(databases, job_id).progress > 0.2, JOB_SECONDS, "the job is under way")
    parent, *children = service.processes("-Q cpu,gpu")
    os.kill(parent, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in children), 10, "no orphan works on")
    until(lambda: job_of(databases, job_id).state is JobState.DONE, JOB_SECONDS, "the job is done")
    assert job_of(databases, job_id).attempt == 2
    assert results_of(databases, job_id) == (1, 1)
    assert "worker was killed by SIGKILL" in service.log


def post(databases: Databases, key: str) -> None:
    """Write a mail."""
    with databases.writing() as session:
        mail.post(session, to=EMAIL, subject="Your link", text="It is here.", key=key)


def test_mail_is_written_to_the_data_directory_for_its_owner_only(service: Service, databases: Databases) -> None:
    post(databases, "links:1")
    (path,) = until(lambda: list((service.data / "mail").glob("*.eml")), JOB_SECONDS, "the mail is written")
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


def test_mail_outlives_the_process_for_errands_which_loads_no_model(service: Service, databases: Databases) -> None:
    (errands,) = service.processes("-Q errands")
    loaded = Path(f"/proc/{errands}/maps").read_text()
    assert not [name for name in ("numpy", "onnxruntime", "ctranslate2", "scipy") if name in loaded]
    before = len(list((service.data / "mail").glob("*.eml")))
    os.kill(errands, signal.SIGKILL)
    post(databases, "links:2")
    until(lambda: len(list((service.data / "mail").glob("*.eml"))) > before, JOB_SECONDS, "the mail is written")
    assert "errands was killed by SIGKILL" in service.log


def test_the_broker_directory_may_vanish(service: Service, databases: Databases) -> None:
    shutil.rmtree(service.data / "broker")
    job_id = speak(databases, "The doorbell's folder is gone, the work is not.")
    until(lambda: job_of(databases, job_id).state is JobState.DONE, JOB_SECONDS, "the job is done")
    assert results_of(databases, job_id) == (1, 1)


def test_a_file_that_is_no_audio_cannot_be_traced(service: Service, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    told = vouch(service.environment, "trace", str(tmp_path / "letter.wav"))
    lost = vouch(service.environment, "trace", str(tmp_path / "missing.wav"))
    assert told.returncode == lost.returncode == 1
    assert "This is no audio file that can be read here." in told.stderr
    assert "can't be read: no such file or directory" in lost.stderr


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = vouch(environment(tmp_path / "data"), "up", "--port", str(port))
    assert refused.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken" in refused.stderr
    assert "--port" in refused.stderr
    assert not (tmp_path / "data" / "vouch.db").exists()


def obey_modes() -> None:
    """For a child before its program starts: nothing is read-only to root unless root gives up that right."""
    pr_capbset_drop, cap_dac_override = 24, 1
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override)


def test_a_read_only_data_directory_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o555)
    refused = subprocess.run(
        [sys.executable, "-m", "app.cli", "up", "--port", "0"],
        env=environment(data),
        preexec_fn=obey_modes,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert f"The data directory {data} can't be written: permission denied." in refused.stderr
    assert "--data DIR" in refused.stderr


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = vouch(environment(tmp_path / "file" / "data"), "up", "--port", "0")
    assert refused.returncode == 1
    assert "can't be written: not a directory" in refused.stderr


def test_it_leaves_nothing_behind_however_it_ends(service: Service) -> None:
    """The last test of this file: it ends the shared service, by `kill -9`, and starts another in its directory."""
    everything = service.processes()
    os.kill(service.process.pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in everything), 15, "nothing is left")
    with running(service.data) as again:
        until(lambda: len(again.processes("-Q cpu,gpu")) == 2, 30, "the worker has its child")
        everything = again.processes()
        assert len(everything) == 7  # guardian, relay, worker and its child, errands, beat, web
        assert again.stop(signal.SIGINT) == 0
        assert not any(alive(pid) for pid in everything)

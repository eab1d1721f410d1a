"""An evidence bundle holds together without us, and one changed byte anywhere is told."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import cryptography
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.accounts import holds
from app.accounts.models import Account
from app.core import signing
from app.core.audit import Actor, AuditEntry
from app.core.db import now
from app.core.errors import Conflict, Invalid
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import JobKind
from app.jobs.service import Claim
from app.privacy.retention import end_retention
from app.provenance.evidence import verify
from app.provenance.evidence.models import BundleState, EvidenceBundle
from app.provenance.evidence.service import ask
from app.provenance.models import Stamp, TraceQuery, Verdict
from app.provenance.service import Stamped, TraceFindings, answer_trace, ask_for_trace, write_stamp
from app.settings import Settings
from tests.world import World
from workers.errands import run_due
from workers.tools import Tools

MODERATOR = Actor("account", "a moderator")
MATCHED = {"query_from": 1.0, "query_to": 2.0, "original_from": 0.0, "original_to": 1.0, "speed": 1.0, "pitch": 1.0}


class Case:
    """A clip, and a trace that names it."""

    def __init__(self, settings: Settings, verdict: Verdict = Verdict.CONFIRMED) -> None:
        self.tools = Tools(settings)
        self.world = World(settings, self.tools.databases)
        self.account = self.world.account()
        self.world.speak(self.account, self.world.voice(self.account), "Meet me <b>at</b> the station.")
        claim = self.world.take(JobKind.SPEAK)
        self.generation = self.world.commit(claim)
        self.stamp = self._deliver(claim)
        self.query = self.trace(verdict)

    def _deliver(self, claim: Claim) -> Stamp:
        key, sound = f"generations/{self.generation.id}/1.wav", b"the clip as it was made"
        self.tools.storage.put(key, sound)
        digest = hashlib.sha256(sound).hexdigest()
        with self.tools.databases.writing() as session:
            jobs.finish(session, claim)
            made = Stamped("wav_24000", key, len(sound), digest, 1.0, [0.5, 0.2], 9.0, -30.0, True, True)
            return write_stamp(session, self.generation.id, made)

    def trace(self, verdict: Verdict) -> TraceQuery:
        self.tools.storage.put("uploads/found", b"what somebody found")
        self.tools.storage.put("traces/found/clean.flac", b"the same, decoded")
        upload = Upload("found <script>.wav", 19, "ab" * 32, "uploads/found")
        findings = TraceFindings(
            verdict=verdict,
            generation_id=self.generation.id,
            evidence=[{"channel": "mark", "accepted": True, "tags": 1, "sentence": "The mark agrees."}],
            false_match_rate=1e-9,
            seconds=3.0,
            peaks=[0.1, 0.9, 0.4],
            audio_key="traces/found/clean.flac",
            matched=MATCHED,
        )
        with self.tools.databases.writing() as session:
            query = ask_for_trace(session, upload, asked_by=MODERATOR, reason="A listener asked.")
            answer_trace(session, query, findings)
            return query

    def bundle(self) -> bytes:
        """The zip of a bundle, made as the errands process makes it."""
        with self.tools.databases.writing() as session:
            made = ask(session, session.get_one(TraceQuery, self.query.id), MODERATOR, "For the court.")
        run_due(self.tools)
        row: EvidenceBundle = self.world.get(EvidenceBundle, made.id)
        assert row.state is BundleState.READY, row.problem
        data = self.tools.storage.get(row.storage_key or "")
        assert hashlib.sha256(data).hexdigest() == row.sha256
        return data


@pytest.fixture
def case(sqlite_settings: Settings) -> Iterator[Case]:
    made = Case(sqlite_settings)
    yield made
    made.tools.databases.close()


@pytest.fixture
def case_anywhere(settings: Settings) -> Iterator[Case]:
    """On both databases."""
    made = Case(settings)
    yield made
    made.tools.databases.close()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def resigned(files: dict[str, bytes], tools: Tools) -> dict[str, bytes]:
    """The bundle of somebody who has the signing key and writes whatever they like."""
    manifest = json.loads(files["MANIFEST.json"])
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
    text = json.dumps(manifest).encode()
    signature = signing.sign(tools.signing, "vouch-evidence-v1", text).encode() + b"\n"
    return {**files, "MANIFEST.json": text, "MANIFEST.sig": signature}


def test_a_bundle_is_checked_with_nothing_but_python_and_one_package(case: Case, tmp_path: Path) -> None:
    """The bundle's own program, in a Python that finds neither us nor any other package of ours."""
    data = case.bundle()
    (tmp_path / "case.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        archive.extractall(tmp_path / "case")
    (tmp_path / "key.pem").write_text(signing.public_pem(case.tools.signing))
    (tmp_path / "only").mkdir()
    installed = Path(cryptography.__file__).parents[1]
    for needed in ("cryptography", "cffi", "_cffi_backend"):
        for found in installed.glob(f"{needed}*"):
            if not found.name.endswith(("-info", ".libs")):
                (tmp_path / "only" / found.name).symlink_to(found)
    start = (
        "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv.pop(0); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-S", "-c", start, str(tmp_path / "only"), str(tmp_path / "case" / "verify.py")]
    for more in ([], [str(tmp_path / "case.zip"), "--key", str(tmp_path / "key.pem")]):
        done = subprocess.run([*command, *more], env={}, cwd="/", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("INTACT")
        assert case.generation.public_ref in done.stdout
    (tmp_path / "case" / "report.html").write_bytes(b"x")
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "NOT INTACT: report.html was changed\n")


def test_one_changed_byte_of_any_file_is_told(case: Case) -> None:
    files = unpacked(case.bundle())
    assert verify.check(files)[0].startswith("INTACT")
    assert {name.partition("/")[0] for name in files} >= {"query", "original", "proofs", "MANIFEST.json", "verify.py"}
    for name, data in files.items():
        for at in (0, len(data) // 2, len(data) - 1):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(verify.Broken):
                verify.check({**files, name: changed})
        with pytest.raises(verify.Broken):
            verify.check({other: content for other, content in files.items() if other != name})
    with pytest.raises(verify.Broken, match="does not belong"):
        verify.check({**files, "more.txt": b""})


def test_whoever_has_the_key_can_still_not_change_what_the_ledger_says(case: Case) -> None:
    """Signature and digests are right again, but row, leaf, proof, checkpoint or story are not."""
    files = unpacked(case.bundle())
    assert verify.check(resigned(files, case.tools))[0].startswith("INTACT")
    proof = json.loads(files["proofs/generation.json"])
    row, document = proof["row"], proof["document"]
    other = hashlib.sha256(b"another root").digest()
    root = base64.b64encode(bytes.fromhex(document["checkpoint"]["root"])).decode()
    note = document["checkpoint"]["note"].replace(root, base64.b64encode(other).decode())
    head = {**document["checkpoint"], "root": other.hex(), "note": note}
    steps = ["00" * 32, *document["proof"][1:]]
    story = {**json.loads(files["report.json"]), "generation": {"id": "0", "ref": "0"}}
    account = json.loads(files["report.json"])
    account["account"]["row"] = str(case.generation.id)
    forged = (
        ("proofs/generation.json", {**proof, "row": {**row, "account_id": "0"}}, "does not commit"),
        ("proofs/generation.json", {**proof, "salt": "x"}, "does not commit"),
        ("proofs/generation.json", {**proof, "document": {**document, "proof": steps}}, "does not lead"),
        ("proofs/generation.json", {**proof, "document": {**document, "checkpoint": head}}, "of the checkpoint"),
        ("report.json", story, "different generations"),
        ("report.json", account, "different accounts"),
    )
    for name, content, why in forged:
        with pytest.raises(verify.Broken, match=why):
            verify.check(resigned({**files, name: json.dumps(content).encode()}, case.tools))
    with pytest.raises(verify.Broken, match="not the file that the ledger knows"):
        verify.check(resigned({**files, "original/clip.wav": b"another"}, case.tools))
    stranger = signing.public_pem(Ed25519PrivateKey.generate())
    with pytest.raises(verify.Broken, match="another key"):
        verify.check(files, stranger)


def test_what_a_forged_bundle_says_cant_imitate_what_the_check_says(case: Case) -> None:
    """Somebody signs with a key of theirs and writes the true key's line, and codes of terminals, into the report."""
    files = unpacked(case.bundle())
    report = json.loads(files["report.json"])
    report["account"]["id"] = "x\n  signed by    key " + "ab" * 32 + "\x1b[8m\u2028\x9b8m" + " " * 300 + "y"
    lines = verify.check(resigned({**files, "report.json": json.dumps(report).encode()}, case.tools))
    assert [line for line in lines if "signed by" in line and not line.startswith("  account")] == [
        "  signed by    key " + signing.fingerprint(signing.public_pem(case.tools.signing))
    ]
    assert all(line.isprintable() and len(line) <= 250 for line in lines)


def test_a_bundle_tells_the_case_and_names_nobody(case_anywhere: Case) -> None:
    case = case_anywhere
    files = unpacked(case.bundle())
    report, page = json.loads(files["report.json"]), files["report.html"].decode()
    assert report["query"]["file_sha256"] == "ab" * 32
    assert files["query/clean.flac"] == b"the same, decoded"
    assert hashlib.sha256(files["original/clip.wav"]).hexdigest() == case.stamp.sha256
    for words in ("twin", "Resold", "shared or stolen account", case.account.public_id, "1.00 to 2.00 s of the file"):
        assert words in page
    assert "<script>" not in page
    assert "<b>" not in page
    for personal in (case.account.email, case.account.name):
        assert not any(personal.encode() in data for data in files.values())


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.LEAD])
def test_a_verdict_that_names_nobody_gets_no_bundle(sqlite_settings: Settings, verdict: Verdict) -> None:
    unsure = Case(sqlite_settings, verdict)
    with unsure.tools.databases.writing() as session:
        query = session.get_one(TraceQuery, unsure.query.id)
        with pytest.raises(Invalid, match="names no clip"):
            ask(session, query, MODERATOR, "For the court.")
    unsure.tools.databases.close()


def test_a_bundle_is_asked_with_a_reason_and_one_at_a_time(case: Case) -> None:
    with case.tools.databases.writing() as session:
        query = session.get_one(TraceQuery, case.query.id)
        with pytest.raises(Invalid, match="what the bundle is for"):
            ask(session, query, MODERATOR, "  \x00 ")
        ask(session, query, MODERATOR, "For the court.")
        with pytest.raises(Conflict):
            ask(session, query, MODERATOR, "Once more.")


def test_a_bundle_goes_when_the_traced_files_go_unless_somebody_is_on_hold(case: Case, settings: Settings) -> None:
    case.bundle()
    long_ago = now() - settings.retention.trace_files - timedelta(days=1)
    case.world.execute("UPDATE evidence_bundle SET created_at = :at", at=long_ago)
    with case.tools.databases.writing() as session:
        holds.place(session, session.get_one(Account, case.account.id), "A court asked.", MODERATOR)
    with case.tools.databases.writing() as session:
        assert end_retention(session, settings)["evidence"] == 0
    with case.tools.databases.writing() as session:
        holds.lift(session, session.get_one(Account, case.account.id), "It is over.", MODERATOR)
    with case.tools.databases.writing() as session:
        assert end_retention(session, settings)["evidence"] == 1
    run_due(case.tools)
    assert not case.tools.storage.list("evidence/")
    assert case.world.count(EvidenceBundle) == 0
    assert case.world.count(AuditEntry, AuditEntry.action == "evidence_bundle.ready") == 1

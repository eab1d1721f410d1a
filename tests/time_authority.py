"""A real RFC 3161 authority on 127.0.0.1: the answers are made by `openssl ts`."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = "Root of the clock, with a name that makes it longer than the leaf"[:64]
"""`openssl ts` puts the leaf first, and DER wants the shorter one first."""
Mood = Literal["well", "refusing", "silent", "broken", "endless", "endless head"]

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/leaf.pem
certs = {folder}/root.pem
signer_key = {folder}/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass
class TimeAuthority:
    """One authority. `mood` says how it behaves from now on; `asked` counts the questions."""

    folder: Path
    url: str = ""
    mood: Mood = "well"
    asked: int = 0
    _closing: threading.Event = field(default_factory=threading.Event)

    @property
    def anchor_pem(self) -> str:
        """The root certificate."""
        return (self.folder / "root.pem").read_text()

    def answer(self, question: bytes) -> bytes:
        """The DER answer to a DER question."""
        (self.folder / "question").write_bytes(question)
        command = ["openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "question", "-out", "answer"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "answer").read_bytes()


@contextmanager
def time_authority(folder: Path) -> Iterator[TimeAuthority]:
    """Serve an authority with new keys in `folder`."""
    folder.mkdir(exist_ok=True)
    _make_keys(folder)
    authority = TimeAuthority(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(authority))
    authority.url = f"http://127.0.0.1:{server.server_address[1]}/stamp"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield authority
    finally:
        authority._closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(authority: TimeAuthority) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            question = self.rfile.read(int(self.headers["Content-Length"]))
            if authority.mood == "refusing":
                self.send_error(503)
                return
            if authority.mood == "silent":
                authority._closing.wait()
                return
            if authority.mood == "endless head":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                self._drip()
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            if authority.mood == "endless":
                self._drip()
                return
            with lock:
                self.wfile.write(b"nonsense" if authority.mood == "broken" else authority.answer(question))

        def _drip(self) -> None:
            while not authority._closing.wait(0.05):
                try:
                    self.wfile.write(b"\x30")
                except OSError:
                    return

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def _make_keys(folder: Path) -> None:
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC) - timedelta(minutes=5)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ROOT)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        return builder.sign(root_key, hashes.SHA256())

    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "root.pem").write_bytes(certificate(ROOT, root_key, True).public_bytes(pem))
    (folder / "leaf.pem").write_bytes(certificate("Clock", leaf_key, False).public_bytes(pem))
    (folder / "leaf.key").write_bytes(leaf_key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(_CONFIG.format(folder=folder))

"""What only the worker side can tell `vouch verify`: `python -m workers.verify FILE [ANCHORS]` writes JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from app.settings import get_settings
from workers.credentials import read_confined
from workers.known_signers import KeysMissing, further_anchors, own_chains
from workers.marks.certificates import CertificateUnusable, certificates, pem_of
from workers.marks.credentials import MANIFEST_LIMIT


def main() -> None:
    """Read the file in confinement and say what its credentials say."""
    path, *more = sys.argv[1:]
    settings = get_settings()
    try:
        anchors = further_anchors(settings)
        for each in more:
            anchors += pem_of(certificates(Path(each).read_text()))
        own = own_chains(settings)
    except (KeysMissing, CertificateUnusable, OSError, UnicodeDecodeError) as error:
        sys.exit(f"the authorities can't be used: {error}")
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if file.tell() > MANIFEST_LIMIT:
            sys.exit(f"{path} is larger than {MANIFEST_LIMIT >> 20} MiB.")
        reading = read_confined(file, None, anchors, own)
    said = asdict(reading) | {"signed_at": reading.signed_at.isoformat() if reading.signed_at else None}
    json.dump(said | {"sha256": digest}, sys.stdout)


if __name__ == "__main__":
    main()

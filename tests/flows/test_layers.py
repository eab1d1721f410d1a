"""The web process carries no model, no audio code and no broker."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = (
    "numpy",
    "onnxruntime",
    "av",
    "celery",
    "kombu",
    "torch",
    "soundfile",
    "scipy",
    "faster_whisper",
    "workers",
)


def test_the_web_process_loads_nothing_heavy() -> None:
    code = f"""
import sys, app.main
print(sorted(name for name in sys.modules if name.split(".")[0] in {FORBIDDEN!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

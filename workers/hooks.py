"""Imports every module of `app` that registers what happens when something of another package ends or changes.

Whoever sweeps jobs or does errands needs all of them, or a job would end and its subject never hear of it.
"""

import app.provenance.service
import app.speech.service
import app.voices.results  # noqa: F401

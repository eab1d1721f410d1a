"""Imports every module that registers something by being imported; whatever is not the web process imports this.

Tables refer to each other by name, so a process needs all of them. And packages register with those below them what
happens when a job ends or a plan changes: without that, a job would end and its subject never hear of it.
"""

import app.accounts.factor_models
import app.accounts.key_models
import app.accounts.signals
import app.billing.models
import app.core.errands
import app.core.outbox
import app.privacy.models
import app.provenance.detection.models
import app.provenance.evidence.models
import app.provenance.ledger.leaves
import app.provenance.service
import app.speech.service
import app.voices.results  # noqa: F401

"""Which module does which kind of job."""

from __future__ import annotations

from collections.abc import Mapping

from app.jobs.models import JobKind
from workers import clone, consent, intake, speak
from workers.runtime import Handler
from workers.trace import handler as trace

HANDLERS: Mapping[JobKind, Handler] = {
    JobKind.INTAKE: intake.handle,
    JobKind.CONSENT: consent.handle,
    JobKind.CLONE: clone.handle,
    JobKind.SPEAK: speak.handle,
    JobKind.TRACE: trace.handle,
}

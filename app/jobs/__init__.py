"""Background work as rows: created with its cause, claimed with a lease, finished once.

The row is the job; a broker message is only a doorbell (see app.core.outbox). Knows kinds of work by name only.
"""

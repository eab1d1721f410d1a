"""The index of fingerprints: which of millions of clips a piece of audio comes from.

An embedded store in a folder of this machine. `python -m workers.index rebuild` makes it anew from the database.
"""

from workers.index.store import Index
from workers.marks.alignment import Candidate

__all__ = ["Candidate", "Index"]

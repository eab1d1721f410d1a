"""The trace: from audio that somebody found to the generation that it was made as, with the evidence.

`search.find` looks through everything that is known and needs no database; `handler` is the job around it.
"""

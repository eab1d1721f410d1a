"""Speaking: a clip is what somebody asked for, a generation is the ledger row of its audio.

The ledger row is written, and can't be changed, before any audio of it leaves.
"""

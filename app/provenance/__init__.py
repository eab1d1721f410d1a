"""Provenance: the stamp on the way out, the trace on the way back.

A delivery is built from a stamp, never from a file. A trace names an account only when its verdict allows that.
"""

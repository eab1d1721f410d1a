"""The transparency log: an RFC 6962 Merkle tree over generations, stamps, consents, decisions, keys and traces.

Leaves are written in the transaction of what they record. Signed checkpoints fix the tree at a size; proofs show that
something is in it, and that a later tree only added to an earlier one. Nothing in a leaf names a person.
"""

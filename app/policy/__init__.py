"""The gate: pure rules from facts to a verdict, and rules about texts, read from packs that an operator can edit.

`rules` decides who may clone and speak. `text_rules` finds what texts say; `packs` reads its rules from files, which is
the only I/O here. Callers gather the facts in their transaction, act on the verdict and keep it with the job.
docs/gate.md has every case in one table; docs/text-rules.md says how to write packs.
"""

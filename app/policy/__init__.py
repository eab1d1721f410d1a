"""The gate: pure rules from facts to a verdict. No I/O; callers gather the facts and act on the verdict."""

"""Pure rules: facts in, verdict out."""

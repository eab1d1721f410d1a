"""`python -m app.cli` is `vouch`."""

from app.cli import main

main()

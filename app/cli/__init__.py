"""The command line, `vouch`: one file per group of commands.

It talks to the services and to the API, and starts worker processes; it imports none of their code.
"""

from app.cli.commands import main

__all__ = ["main"]

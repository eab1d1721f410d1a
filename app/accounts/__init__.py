"""People who use Vouch: accounts, log-in sessions, API keys; standing and what it allows.

Everything above may ask who somebody is and what they may do. Only this package reads passwords and keys.
"""

"""The web process: accounts, billing, voices, speech, provenance, and the pages and API over them."""

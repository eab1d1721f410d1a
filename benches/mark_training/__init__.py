"""How the reader's detector was trained. Run data.py, then train.py; see README.md here."""

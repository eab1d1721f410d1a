"""How well copies are traced: clips, what is done to them, and the tables of docs/provenance.md."""

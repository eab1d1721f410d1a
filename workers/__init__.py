"""Everything that touches audio or a model."""

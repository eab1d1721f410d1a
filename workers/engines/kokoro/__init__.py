"""Kokoro-82M on onnxruntime, with pitch control in the graph and voice matching from a minute of speech."""

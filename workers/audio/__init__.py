"""Hearing and measuring: untrusted audio in, numbers and clean PCM out. Knows nothing of the business."""

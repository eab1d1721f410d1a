"""Moderator pages: the queue of consents, traces. Shares the frame and the design language of the site.

Its own session rules apply, and none of its routes appear in the public OpenAPI document.
"""

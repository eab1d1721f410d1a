"""Voices: the sample that somebody sent, the consent of the speaker, the voice made from both.

`service` makes and ends voices, `consents` asks for and settles consent, `results` takes what the workers found.
"""

"""What people can ask about their data: export, deletion; and how long each class of data is kept.

Stands above the domains, because it reaches into all of them. Only site, console, command line and workers call it.
"""

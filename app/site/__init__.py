"""Customer and public pages: server-rendered templates, static files and htmx partials.

Everything but recording in the browser works without JavaScript. Nothing below may import this package.
"""

"""A real uvicorn server on 127.0.0.1 for tests that speak HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


def free_port() -> int:
    """A port that was free a moment ago, for a server whose settings must name it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def serve(app: Any, port: int = 0) -> Iterator[str]:
    """Serve the ASGI application `app` from a thread; the value is its base URL, such as http://127.0.0.1:40123.

    `port` 0 is any that is free.
    """
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:  # else asyncio sets no TCP_NODELAY: 40 ms an answer
        listener.bind(("127.0.0.1", port))
        listener.listen(128)  # connections wait here until the server accepts, so nobody needs to poll for the start
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=15)
            assert not thread.is_alive(), "the server did not stop"

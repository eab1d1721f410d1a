"""The API as the demo uses it: the same routes that any customer and moderator has."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from app.core.errors import Invalid

TIMEOUT = 240.0  # seconds: text-to-speech holds its request open while it works


class Client:
    """One account's view of a service. Use it in a `with` block, which closes its connections."""

    def __init__(self, address: str, api_key: str) -> None:
        self._http = httpx2.Client(base_url=address, headers={"xi-api-key": api_key}, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def add_voice(self, name: str, sample: Path) -> str:
        """Start a voice from one file; gives its id."""
        files = {"files": (sample.name, sample.read_bytes())}
        answer: str = self._call("POST", "/v1/voices/add", data={"name": name}, files=files).json()["voice_id"]
        return answer

    def sentence(self, voice_id: str) -> str:
        """The consent sentence to read aloud."""
        answer: str = self._call("GET", f"/v1/voices/pvc/{voice_id}/captcha").json()["statement"]
        return answer

    def send_reading(self, voice_id: str, recording: Path) -> None:
        """Send the recording of the sentence."""
        files = {"recording": (recording.name, recording.read_bytes())}
        self._call("POST", f"/v1/voices/pvc/{voice_id}/captcha", files=files)

    def voice(self, voice_id: str) -> dict[str, Any]:
        """The voice as it is now."""
        answer: dict[str, Any] = self._call("GET", f"/v1/voices/{voice_id}").json()
        return answer

    def speak(self, voice_id: str, text: str) -> bytes:
        """A stamped MP3 of the text."""
        return self._call("POST", f"/v1/text-to-speech/{voice_id}", json={"text": text}).content

    def trace(self, file: Path, reason: str) -> dict[str, Any]:
        """Start a trace; its answer when it came at once, else how far it is (see `trace_again`)."""
        files = {"file": (file.name, file.read_bytes())}
        answer: dict[str, Any] = self._call("POST", "/v1/trace", data={"reason": reason}, files=files).json()
        return answer

    def trace_again(self, trace_id: str) -> dict[str, Any]:
        """The trace as it is now."""
        answer: dict[str, Any] = self._call("GET", f"/v1/trace/{trace_id}").json()
        return answer

    def _call(self, method: str, path: str, **sent: Any) -> httpx2.Response:
        """Raises Invalid with the sentence that the service answers with."""
        answer = self._http.request(method, path, **sent)
        if answer.is_success:
            return answer
        try:
            body = answer.json()
            detail = body.get("detail", body)
            said = detail if isinstance(detail, str) else detail["message"]
        except (ValueError, KeyError, TypeError, AttributeError):
            said = answer.text[:300]
        raise Invalid("demo.refused", f"{method} {path} was answered with {answer.status_code}: {said}")

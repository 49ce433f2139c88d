"""One file over HTTP into memory: with progress, taken up again where a connection broke off, never written to disk."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from graphrep.data.check import grouped
from graphrep.errors import ChecksumError, DownloadError

__all__ = ["Progress", "fetch"]

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(name, done, total)`` in bytes; `total` is None when the server does not say."""

_CHUNK = 1 << 16
_MOST = 1 << 30
_TRIES = 4


def fetch(
    url: str, *, sha256: str = "", progress: Progress | None = None, timeout: float = 30.0, hint: str | None = None
) -> bytes:
    """The bytes behind `url`.

    A transfer that breaks off goes on where it stopped, if the server can tell that the file is still the same, and
    starts again otherwise; at most three times.

    Args:
        url: http or https; proxies are taken from the environment.
        sha256: of the file, when it is known.
        progress: told after every 64 KiB.
        timeout: seconds without an answer.
        hint: what to do instead, for the errors.

    Raises:
        DownloadError: no connection, an answer other than success, a transfer that broke off, or more than 1 GiB.
        ChecksumError: other bytes than expected.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise DownloadError(f"{url} is not an http address.", hint=hint)
    transfer = _Transfer(url, parts.path.rpartition("/")[2], progress, timeout)
    for attempt in range(_TRIES):
        try:
            transfer.run()
            break
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadError(f"{url} answered {error.code} ({error.reason}).", hint=hint) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if not transfer.received:
                raise DownloadError(f"{parts.hostname} cannot be reached: {_words(reason)}.", hint=hint) from error
            if attempt == _TRIES - 1:
                total = "" if transfer.total is None else f" of {grouped(transfer.total)}"
                raise DownloadError(
                    f"{url} broke off after {grouped(len(transfer.received))}{total} bytes: {_words(reason)}.",
                    hint="run the command again" + (f"; or {hint}" if hint else ""),
                ) from error
    content = bytes(transfer.received)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise ChecksumError(f"{url} has another checksum than expected; nothing was kept.", hint=hint)
    return content


class _Transfer:
    """What has arrived of one file, and how to go on."""

    def __init__(self, url: str, name: str, progress: Progress | None, timeout: float) -> None:
        self.url, self.name, self.progress, self.timeout = url, name, progress, timeout
        self.received = bytearray()
        self.total: int | None = None
        self._version = ""  # what the server calls this state of the file; empty when it does not

    def run(self) -> None:
        """Receives the rest of the file.

        Raises:
            OSError, http.client.HTTPException: the connection failed or broke off.
            DownloadError: the file is too large.
        """
        headers = {"User-Agent": "graphrep", "Accept-Encoding": "identity"}
        if self.received and self._version:
            headers |= {"Range": f"bytes={len(self.received)}-", "If-Range": self._version}
        request = urllib.request.Request(self.url, headers=headers)
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            if answer.status != 206 or not self._continues(answer):
                self.received.clear()
            self._version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            if self._version.startswith("W/"):
                self._version = ""  # says only that the file means the same, not that it has the same bytes
            length = answer.headers.get("Content-Length")
            self.total = len(self.received) + int(length) if length and length.isdigit() else None
            while chunk := answer.read(_CHUNK):
                self.received += chunk
                if max(len(self.received), self.total or 0) > _MOST:
                    raise DownloadError(f"{self.url} has more than {grouped(_MOST)} bytes, which is not expected.")
                if self.progress is not None:
                    self.progress(self.name, len(self.received), self.total)
        if self.total is not None and len(self.received) < self.total:
            raise http.client.IncompleteRead(b"", self.total - len(self.received))

    def _continues(self, answer: Any) -> bool:
        """Whether a partial answer begins where we stopped."""
        return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {len(self.received)}-")


def _words(reason: object) -> str:
    if isinstance(reason, http.client.IncompleteRead):
        return "the connection was closed"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__

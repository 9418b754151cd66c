"""Clients that keep requests in flight, and what became of each request."""

from __future__ import annotations

import http.client
import ssl
import string
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

SERVER_ERROR = 500  # the first status of HTTP that blames the server
PAUSE = 0.05  # seconds after a connection was refused


@dataclass
class Request:
    """
    One request.

    Attributes:
        sent: When it was sent, in Unix time; when the connection was tried, if it was refused.
        ended: When the answer was there, or it was clear that there is none.
        status: The status of the answer, 0 if there was none.
        refused: Whether there was no connection, so that nothing was sent.
        error: Why there is no answer.
    """

    sent: float
    ended: float = 0.0
    status: int = 0
    refused: bool = False
    error: str = ""


@dataclass
class Counts:
    """What became of the requests: those of before the signal, and those that came after it."""

    answered: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0  # at the signal
    lost: int = 0  # of these: sent and not answered, or answered by an error of the server
    errors: list[str] = field(default_factory=list)
    failed_before: int = 0  # had no answer already before the signal
    lost_between: int = 0  # sent after the signal to a worker, while the others serve
    answered_after: int = 0  # those that were sent after the signal
    dropped_after: int = 0
    refused_after: int = 0
    refused_since: float | None = None  # seconds after the signal


class Clients:
    """So many threads, each of which asks again as soon as it has its answer."""

    def __init__(self, url: str, count: int, timeout: float) -> None:
        self.requests: list[Request] = []
        self._url = url
        self._timeout = timeout
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        self.sending = 0  # how many clients have sent something

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Let the requests in flight come to their end, in so many seconds."""
        self._stopping.set()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def _ask(self) -> None:
        """Ask until it is enough."""
        first = True
        while not self._stopping.is_set():
            request = ask(self._url, self._timeout)
            self.requests.append(request)
            if request.refused:
                self._stopping.wait(PAUSE)
            elif first:
                self.sending += 1
                first = False


def ask(url: str, timeout: float, *, whole: bool = True) -> Request:
    """Send one request on a connection of its own; wait for the *whole* answer, or its status."""
    parts = urlsplit(url)
    connection, context = _connection(parts.scheme, parts.netloc, timeout)
    request = Request(time.time())
    try:
        try:
            http.client.HTTPConnection.connect(connection)  # without TLS, which comes then
        except OSError as error:
            request.refused = True
            request.error = str(error)
            return request
        request.sent = time.time()
        if context is not None:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=connection.host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path = quote(path, safe=string.punctuation)
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        if whole:
            response.read()
        request.status = response.status
    except (OSError, http.client.HTTPException) as error:
        request.error = f"{type(error).__name__}: {error}"
    finally:
        request.ended = time.time()
        connection.close()
    return request


def _connection(
    scheme: str, netloc: str, timeout: float
) -> tuple[http.client.HTTPConnection, ssl.SSLContext | None]:
    """Return a connection that has yet to be made, and how it is secured."""
    if scheme == "https":
        # The certificate of a service on one's own machine is seldom one that is trusted.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(netloc, timeout=timeout, context=context), context
    return http.client.HTTPConnection(netloc, timeout=timeout), None


def count(requests: list[Request], zero: float, last: float = 0.0) -> Counts:
    """
    Count what became of the requests.

    Args:
        requests: All of them.
        zero: When the signal was sent.
        last: Until when the service was to go on, where the signal was for one worker alone.
    """
    counts = Counts()
    healthy = not any(one.status >= SERVER_ERROR for one in requests if one.ended < zero)
    for one in sorted(requests, key=lambda one: one.sent):
        if one.status:
            counts.answered += 1
            counts.statuses[str(one.status)] = counts.statuses.get(str(one.status), 0) + 1
        failed = not one.status or (healthy and one.status >= SERVER_ERROR)
        if zero <= one.sent < last and one.ended >= last and not one.refused:
            _count_in_flight(counts, one, healthy=healthy)  # of the second signal
        elif zero <= one.sent < last and failed:
            counts.lost_between += 1
        elif one.sent >= zero:
            _count_after(counts, one, zero)
        elif one.ended >= zero and not one.refused:
            _count_in_flight(counts, one, healthy=healthy)
        elif not one.status and not one.refused:
            counts.failed_before += 1
    return counts


def _count_after(counts: Counts, request: Request, zero: float) -> None:
    """Count a request that was sent after the signal."""
    if request.status:
        counts.answered_after += 1
    elif not request.refused:
        counts.dropped_after += 1
    else:
        counts.refused_after += 1
        if counts.refused_since is None:
            counts.refused_since = request.sent - zero


def _count_in_flight(counts: Counts, request: Request, *, healthy: bool) -> None:
    """Count a request that was sent before the signal and had no answer by then."""
    counts.in_flight += 1
    error = request.error
    if healthy and request.status >= SERVER_ERROR:
        error = f"status {request.status}"
    if error:
        counts.lost += 1
        if error not in counts.errors:
            counts.errors.append(error)

"""Files from the network: the ones expected, in reasonable time, from the first source that has them."""

import hashlib
import http.client
import io
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from cifarcore.text import one_line

T = TypeVar("T")

#: A dead network fails in seconds; a firewall that swallows packets would hold a connection for minutes.
TIMEOUT_SECONDS = 20
#: bytes per second below which, for WINDOW_SECONDS, a source is left for the next
SLOW, WINDOW_SECONDS = 50_000, 30.0
#: where no source is faster: at this rate CIFAR-100 takes five hours
SLOWEST = 10_000
_MOST_READ = 1 << 16
_REASON = 120  #: letters
_PROGRESS = re.compile(r"Downloading CIFAR-100 from .*: (\d{1,3})% of [\d,]+ MB, [\d.,]+ MB/s\s*$")


class SourceError(Exception):
    """Why a source gives nothing, in a few words."""


class TooSlow(SourceError):
    def __init__(self, rate: float):
        super().__init__(f"slow, {rate / 1000:,.0f} KB/s")
        self.rate = rate


@dataclass(frozen=True)
class RemoteFile:
    url: str
    size: int
    algorithm: str  #: of hashlib
    digest: str


@dataclass
class Fetching:
    """How the files of one source are fetched: how slow it may be, and what is said of it meanwhile."""

    source: str
    least: float  #: bytes per second
    earlier: str = ""  #: why other sources were left
    total: int = 0  #: bytes of all its files
    _received: int = 0
    _said: float = field(default_factory=time.monotonic)
    _percent: int = -1

    def fetch(self, file: RemoteFile, out: BinaryIO) -> None:
        """Write what `file.url` has to `out`. Raises SourceError where that is not `file`, or does not come."""
        digest = hashlib.new(file.algorithm, usedforsecurity=False)
        received = marked = 0
        start = mark = time.monotonic()
        try:
            for chunk in _chunks(file):
                received += len(chunk)
                if received > file.size:
                    raise SourceError(f"sends more than the {file.size:,} bytes expected")
                digest.update(chunk)
                out.write(chunk)
                now = time.monotonic()
                if now - mark >= WINDOW_SECONDS:
                    if (rate := (received - marked) / (now - mark)) < self.least:
                        raise TooSlow(rate)
                    mark, marked = now, received
                self._report(len(chunk), received / max(now - start, 1e-3))
        finally:
            _end_line()
        if received < file.size:
            raise SourceError(f"was cut off after {received:,} of {file.size:,} bytes")
        if digest.hexdigest() != file.digest:
            raise SourceError("sends another file than expected")

    def _report(self, count: int, rate: float) -> None:
        self._received += count
        total = max(self.total, self._received)
        percent, since = 100 * self._received // total, time.monotonic() - self._said
        if percent > self._percent and (since >= 1 or percent == 100) or since >= 10:
            self._percent, self._said = percent, time.monotonic()
            earlier = f" ({self.earlier})" if self.earlier else ""
            _say(
                f"Downloading CIFAR-100 from {self.source}{earlier}: {percent}% of {total / 1e6:,.0f} MB, "
                f"{rate / 1e6:,.2f} MB/s"
            )


def first_that_works(sources: Sequence[tuple[str, Callable[[Fetching], T]]]) -> T:
    """What the first of `sources` gives; what the fastest gives, where all that give something are slow.

    Raises SourceError with the reason of each, by its name.
    """
    reasons: dict[str, str] = {}
    slow: list[tuple[float, int]] = []
    for place, (name, given_by) in enumerate(sources):
        try:
            return given_by(Fetching(name, SLOW, _joined(reasons)))
        except SourceError as error:
            reasons[name] = one_line(str(error), _REASON)
            if isinstance(error, TooSlow):
                slow.append((error.rate, place))
    for _, place in sorted(slow, reverse=True):  # late is better than not at all
        name, given_by = sources[place]
        try:
            return given_by(Fetching(name, SLOWEST, _joined(reasons)))
        except SourceError as error:
            reasons[name] = one_line(str(error), _REASON)
    raise SourceError(_joined(reasons))


def _joined(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


class _SameScheme(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        fp.close()  # or all that a redirect says beside its address would be read
        if urllib.request.Request(newurl).type != req.type:
            raise SourceError(f"leads elsewhere, to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Hurried(io.RawIOBase):
    """What comes from a host, heads and sizes of chunks among it; no longer than it comes in reasonable time."""

    def __init__(self, raw: io.RawIOBase):
        self.raw, self.received, self.mark = raw, 0, time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        count = self.raw.readinto(buffer)
        self.received += count or 0
        # a host may think for a while before it sends; what it does send is judged in `Fetching`, too
        waited = time.monotonic() - self.mark
        if waited >= TIMEOUT_SECONDS + WINDOW_SECONDS:
            if count and self.received / waited < SLOWEST:
                raise TooSlow(self.received / waited)
            self.received, self.mark = 0, time.monotonic()
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_Hurried(self.fp.detach()))


class _Plain(http.client.HTTPConnection):
    response_class = _Response


class _Secure(http.client.HTTPSConnection):
    response_class = _Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req):
        return self.do_open(_Plain, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req):
        return self.do_open(_Secure, req)


_OPENER = urllib.request.build_opener(_SameScheme, _Http, _Https)


def _chunks(file: RemoteFile) -> Iterator[bytes]:
    """What the network brings, piece by piece. What fails outside of it, as on a full disk, is not caught here."""
    try:
        request = urllib.request.Request(file.url, headers={"User-Agent": "cifarcore"})
        if request.type not in ("http", "https"):
            raise SourceError(f"is no address of the web, {file.url}")
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            if response.length is not None and response.length != file.size:
                raise SourceError(f"has {response.length:,} bytes, expected {file.size:,}")
            while chunk := response.read1(_MOST_READ):
                yield chunk
    except urllib.error.HTTPError as error:
        raise SourceError(f"answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise SourceError(_words(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(_words(error)) from None


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "timed out"
    return (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__


def progress_share(line: str) -> float | None:
    """How much of the download is done, 0..1, by a line of `Fetching`; None for any other line."""
    match = _PROGRESS.match(line)
    return None if match is None else min(1.0, int(match[1]) / 100)


def _say(line: str) -> None:
    """Tell how far it is: in the same line of a terminal; elsewhere, as in a log, in a line of its own."""
    if sys.stderr is not None:  # as in a program without a console
        at = {"end": ""} if sys.stderr.isatty() else {}
        print(f"\r{line:<79}" if at else line, file=sys.stderr, flush=True, **at)


def _end_line() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(file=sys.stderr)

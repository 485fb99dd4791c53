"""What stands before Streamlit's server: who may ask it at all, HTTP and WebSocket alike; and the pictures.

A page of another site must not drive the app in the reader's browser, neither under its own name nor under one that it
points at this machine (DNS rebinding). Streamlit checks WebSockets alone, and asks outside for its address on the way.
"""

import gc
import re
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Event, Thread

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.web.server.server_util import allow_all_cross_origin_requests, is_allowed_origin
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from cifarcore.app.addresses import PICTURES
from cifarcore.places import with_home

#: no other site may show them, and none but this browser keeps them
_OF_THIS_SITE = {
    "Cache-Control": "private, max-age=3600",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_ANSWERED = ("GET", "HEAD", "OPTIONS")  #: to other origins too, whose scripts may not read the answer
#: no other site may lay its own buttons over a frame of this app, whose reader would click on what lies beneath
_FRAMED_BY = "frame-ancestors 'self'"
#: brackets hold an IPv6 address and nothing but a port follows; Python's parser forgets what else stands around them
_BRACKETED = re.compile(r"\[[^\[\]]*\](?::\d*)?")


class OnlyThisSite:
    """Refuses, with one line, whatever names a host that is not in `server.allowedHosts`; and what changes anything,
    a WebSocket among it, where it comes from another origin that is not in `server.corsAllowedOrigins`. No page of
    another origin may show this app in a frame.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _problem(scope) if scope["type"] in ("http", "websocket") else ""
        if problem:
            # Starlette answers a WebSocket's handshake with a response too
            await PlainTextResponse(problem, status_code=403)(scope, receive, send)
            return

        async def unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = _FRAMED_BY
            await send(message)

        with suppress(
            ClientDisconnect
        ):  # amid an upload, by a reader who closed the tab: nobody is left to be answered
            await self.app(scope, receive, unframed if scope["type"] == "http" else send)


def _problem(scope: Scope) -> str:
    headers = Headers(scope=scope)
    host, origin = headers.get("host"), headers.get("origin")
    bracketed = host is not None and ("[" in host or "]" in host)
    if (bracketed and not _BRACKETED.fullmatch(host)) or not is_host_allowed(host):
        known = ", ".join(config.get_option("server.allowedHosts"))
        return (
            f"This app only answers requests for {known}; to open it under another NAME, start it with "
            "--server.allowedHosts NAME.\n"
        )
    changes = scope["type"] == "websocket" or scope["method"] not in _ANSWERED
    if not changes or origin is None or origin.partition("://")[2] == host:
        return ""
    if allow_all_cross_origin_requests() or is_allowed_origin(origin):
        return ""
    return "Requests from pages of other sites are refused; see server.corsAllowedOrigins.\n"


def _picture(request: Request) -> Response:
    pictures = import_module("cifarcore.app.pictures")  # here: NumPy and pandas would keep the server from answering
    try:
        content = pictures.png(request.path_params["album"], int(request.path_params["name"].removesuffix(".png"), 16))
    except (ValueError, OverflowError):
        content = None
    if content is None:
        return PlainTextResponse("no such picture\n", status_code=404)
    return Response(content, media_type="image/png", headers=_OF_THIS_SITE)


def with_handles(wanted: int = 4096) -> None:
    """Let this process open `wanted` files if the system allows it: macOS begins with 256, each session takes some."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < limit:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def draw(root: Path) -> None:
    """Draw the app for one session: main.show, once it is imported."""
    if _began.is_set():
        _imported.wait()
    try:
        import_module("cifarcore.app.main").show(root)
    finally:
        _drawn.set()


def _import_app(root: Path) -> None:
    """What the first page needs while the browser still loads Streamlit's own bundles; the rest once it is drawn."""
    gc.disable()  # what an import makes stays: looking through it again and again took a sixth of the time
    try:
        import_module("cifarcore.app.main")
        import_module("cifarcore.app.pages.overview")
    finally:
        gc.enable()
        _imported.set()
    with suppress(Exception):  # of files that changed or are damaged: the page itself says so
        import_module("cifarcore.app.pages.overview").read_ahead(root)
    import_module("cifarcore.app.pictures").read_ahead()
    _drawn.wait(_PATIENCE_SECONDS)
    time.sleep(_PAUSE_SECONDS)  # the browser draws meanwhile, with what the server still sends it
    for name, *_ in import_module("cifarcore.app.main").PAGES:
        import_module(f"cifarcore.app.pages.{name}")
    for name in _LATER:
        import_module(name)


_began, _imported, _drawn = Event(), Event(), Event()
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 2.0
#: that some pages import when they need them
_LATER = ("pandas.io.formats.style", "scipy.stats", "sklearn.metrics", "sklearn.neighbors")
MIDDLEWARE = (Middleware(OnlyThisSite),)


def routes(root: Path) -> list[Route]:
    """Where the pictures are, below the server's base path; called once, as the server starts. `root` as for `draw`."""
    with_handles()
    with_home()
    if not _began.is_set():
        _began.set()
        Thread(target=_import_app, args=(root,), name="import of the pages", daemon=True).start()
    base = "/".join(filter(None, (config.get_option("server.baseUrlPath").strip("/"), PICTURES)))
    return [Route(f"/{base}/{{album}}/{{name}}", _picture)]

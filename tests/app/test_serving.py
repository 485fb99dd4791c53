"""Who may ask the app's server: this machine's own names, and pages of no other site; and it asks nobody itself."""

import subprocess
import sys
from threading import Event

import pytest
from processes import ROOT, in_own_loop
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from streamlit import config, net_util
from streamlit.web.server.app_discovery import discover_asgi_app

from cifarcore.app import serving, start
from cifarcore.app.serving import MIDDLEWARE

HOSTS = ["localhost", "127.0.0.1", "::1"]


@pytest.fixture
def ask(monkeypatch):
    """`ask(method, host, origin)`: status and text of the answer; the method WS opens a WebSocket (status 101)."""
    options = {"server.allowedHosts": HOSTS, "server.corsAllowedOrigins": ["https://models.example"]}
    get = config.get_option
    monkeypatch.setattr(config, "get_option", lambda name: options.get(name, get(name)))
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda *_, **__: pytest.fail("asked outside"))

    async def app(scope, receive, send):
        status = 101 if scope["type"] == "websocket" else 200
        start = {"type": "http.response.start", "status": status, "headers": []}
        await send(start | {"body": b"answered"})

    for each in reversed(MIDDLEWARE):
        app = each.cls(app, *each.args, **each.kwargs)

    def ask(method, host, origin=None):
        sent = []

        async def send(message):
            sent.append(message)

        named = {"host": host, "origin": origin}
        headers = [(name.encode(), value.encode()) for name, value in named.items() if value is not None]
        kind = "websocket" if method == "WS" else "http"
        in_own_loop(app({"type": kind, "method": method, "path": "/", "headers": headers}, None, send))
        ask.headers = Headers(raw=sent[0]["headers"])
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()

    return ask


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST:8501", "localhost"])
def test_this_machine_is_answered(ask, host):
    assert ask("GET", host) == ask("PUT", host, f"http://{host}") == (200, "answered")
    assert ask("WS", host) == ask("WS", host, f"http://{host}") == (101, "answered")


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:8501",
        "localhost.evil.test",
        "evil.test@localhost",
        "192.168.1.2",
        "",
        None,
        "127.0.0.1.evil.test",
        "[::1].evil.test",
        "[::1].evil.test:8501",
        "[::1]evil.test",
        "evil.test[::1]",
        "evil.test:[::1]",
        "evil.test[::1]:8501",
        "[[::1]]",
        "[::1]:8501:evil.test",
        "[::1]:8501.evil.test",
        "@localhost",
        "localhost:8501@evil.test",
        "localhost#.evil.test",
        "localhost/.evil.test",
        "localhost:99999",
        "localhost:evil",
        "localhost .evil.test",
        "localhost,evil.test",
        "localhost%00.evil.test",
    ],
)
def test_a_foreign_name_is_refused_with_what_to_do(ask, host):
    for method, origin in (("GET", None), ("PUT", f"http://{host}"), ("WS", None), ("WS", f"http://{host}")):
        status, text = ask(method, host, origin)
        assert status == 403 and "--server.allowedHosts" in text and text.count("\n") == 1


@pytest.mark.parametrize("origin", [
    "https://evil.test", "null", "http://localhost.evil.test:8501", "http://localhost:8501@evil.test",
    "http://localhost:9999", "http://127.0.0.1:8501", "http://[", "",
])  # fmt: skip
def test_a_page_of_another_site_changes_nothing(ask, origin):
    assert ask("WS", "localhost:8501", origin)[0] == ask("PUT", "localhost:8501", origin)[0] == 403


def test_an_origin_that_is_allowed_may(ask):
    assert ask("WS", "localhost:8501", "https://models.example")[0] == 101


@pytest.mark.parametrize("host", ["localhost.", "LOCALHOST.:8501", "127.0.0.1:", "[::1]", "[::1]:"])
def test_another_spelling_of_this_machine_is_answered_too(ask, host):
    assert ask("GET", host) == (200, "answered")


def test_no_page_of_another_site_shows_the_app_in_a_frame(ask):
    """It could lay its own buttons over a frame, and have its reader press the app's."""
    ask("GET", "localhost:8501")
    assert ask.headers["content-security-policy"] == "frame-ancestors 'self'"


def test_an_upload_that_is_broken_off_is_no_error():
    """The reader closed the tab: nobody is left to be answered, and a traceback in the terminal helps nobody."""
    messages = iter(({"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}))
    sent = []

    async def upload(request):
        return PlainTextResponse(await request.body())

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    app = Starlette(routes=[Route("/", upload, methods=["PUT"])], middleware=list(MIDDLEWARE))
    scope = {"type": "http", "method": "PUT", "path": "/", "headers": [(b"host", b"localhost")], "query_string": b""}
    in_own_loop(app(scope, receive, send))
    assert not sent and next(messages, None) is None


def test_the_checkout_and_the_installed_app_are_served_by_it(own_place):
    for script in (ROOT / "streamlit_app.py", start.prepared() / start.SCRIPT):
        assert "MIDDLEWARE" in script.read_text() and discover_asgi_app(script).import_string == "streamlit_app:app"
        assert f"allowedHosts = {HOSTS}".replace("'", '"') in (script.parent / ".streamlit/config.toml").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit: run on Linux or macOS")
def test_the_server_may_open_more_files_than_macos_begins_with():
    code = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from pathlib import Path
from cifarcore.app.serving import routes
routes(Path())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], hard)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    soft, hard = map(int, done.stdout.split())
    assert soft == 4096 or soft == hard < 4096


def test_the_server_imports_the_first_page_before_anyone_asks_for_it_and_the_rest_once_it_is_drawn():
    code = """
import gc
import sys
import threading
from pathlib import Path
from cifarcore.app import serving
known = lambda: ["cifarcore.app." + name in sys.modules for name in ("main", "pages.overview", "pages.findings")]
later = lambda: [name in sys.modules for name in ("scipy.stats", "altair", "scipy.optimize", "sklearn.metrics")]
print(*known(), "pandas" in sys.modules)
serving._PATIENCE_SECONDS, serving._PAUSE_SECONDS = 60, 0
serving.routes(Path('nowhere'))
serving._imported.wait()
print(*known(), *later(), gc.isenabled())
serving._drawn.set()
next(thread for thread in threading.enumerate() if thread.name == 'import of the pages').join()
print(*known(), *later(), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines() == [
        "False False False False",
        "True True False False False False False True",
        "True True True True True True True False",
    ]


def test_the_first_page_is_drawn_without_what_takes_long_to_import():
    code = """
import sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("streamlit_app.py").run(timeout=240)
late = ("scipy.stats", "scipy.optimize", "scipy.spatial", "altair")
print(page.title[0].value, *(name in sys.modules for name in late))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "in accuracy" in done.stdout and done.stdout.split()[-4:] == ["False"] * 4


def test_a_page_is_drawn_where_the_import_failed(monkeypatch):
    """It says why itself; nobody waits for ever."""
    monkeypatch.setattr(serving, "_imported", Event())
    monkeypatch.setattr(serving, "import_module", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        serving._import_app(ROOT)
    assert serving._imported.is_set()

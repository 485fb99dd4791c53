"""The button that downloads CIFAR-100: a process of its own, of which the page says how it ended."""

import re
import subprocess
import sys
import time

import pytest
from streamlit.testing.v1 import AppTest

from cifarcore.app.parts import download

REAL = subprocess.Popen


def _page():
    from types import SimpleNamespace

    from cifarcore.app.parts.download import missing_pictures
    from cifarcore.app.pictures import HOW_TO_GET

    missing_pictures(SimpleNamespace(pictures=SimpleNamespace(problem=HOW_TO_GET)))


@pytest.fixture
def pressed(monkeypatch):
    """`pressed(code)`: the app after the button was pressed and Python `code` ran as the download, and the command."""
    download._download.clear()
    commands = []

    def pressed(code):
        def run(command, **options):
            commands.append(command)
            return REAL([sys.executable, "-c", code], **options)

        monkeypatch.setattr(download.subprocess, "Popen", run)
        app = AppTest.from_function(_page, default_timeout=120).run()
        assert not app.error and not commands
        app.button(key="download-pictures").click().run()
        download._download().process.wait(60)
        return app.run(), commands

    yield pressed
    download._download.clear()


def test_a_log_that_is_gone_ends_no_page(pressed, monkeypatch):
    app, _ = pressed("raise SystemExit('why')")
    download._download().log.unlink()
    assert not app.run().exception and "no reason given" in app.error[0].value


def test_a_full_disk_is_said(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    download._download.clear()
    monkeypatch.setattr(download.tempfile, "NamedTemporaryFile", full)
    app = AppTest.from_function(_page, default_timeout=120).run()
    app.button(key="download-pictures").click().run()
    assert not app.exception and "not started: No space left on device" in app.error[0].value.replace("\\", "")


def test_one_process_of_the_command_line_downloads(pressed):
    app, commands = pressed("pass")
    assert [command[1:] for command in commands] == [["-m", "cifarcore", "data"]]
    assert not app.exception and not app.error


def test_a_download_that_failed_says_why(pressed):
    app, _ = pressed("raise SystemExit('first line\\nno *network* here')")
    assert (
        not app.exception and "no \\*network\\* here" in app.error[0].value and "first line" not in app.error[0].value
    )
    assert app.button(key="download-pictures")


@pytest.mark.parametrize(
    ("lines", "share", "text"),
    [
        ("", 0, "Downloading CIFAR-100"),
        (
            "Downloading CIFAR-100 from huggingface.co (www.cs.toronto.edu: *slow*, 12 KB/s): 42% of 142 MB, 1.20 MB/s",
            42,
            r"huggingface\.co (www\.cs\.toronto\.edu: *slow*, 12 KB/s): 42% of 142 MB, 1.20 MB/s",
        ),
        ("Downloading CIFAR-100 from huggingface.co: 100% of 142 MB, 1.20 MB/s", 100, "Unpacking and checking"),
    ],
    ids=["nothing yet", "on its way", "all there"],
)
def test_the_page_shows_how_far_it_is_and_from_where(monkeypatch, lines, share, text):
    download._download.clear()
    code = f"print({lines!r}, flush=True); input()"
    monkeypatch.setattr(
        download.subprocess, "Popen", lambda _, **options: REAL([sys.executable, "-c", code], **options | {"stdin": -1})
    )
    started = download._download()
    started.start()
    while lines and not started.last_line():
        time.sleep(0.05)
    bar = AppTest.from_function(_page, default_timeout=120).run().get("progress")[0].proto
    started.process.communicate(b"\n")
    download._download.clear()
    literal = re.sub("[\\\\\u2060]", "", bar.text)
    assert bar.value == share and text.replace("\\", "") in literal
    assert "*" not in text or r"\*slow\*" in bar.text


def test_a_second_press_starts_no_second_process(pressed, monkeypatch):
    started = download._Download()
    monkeypatch.setattr(
        download.subprocess, "Popen", lambda *_, **__: REAL([sys.executable, "-c", "input()"], stdin=-1)
    )
    started.start()
    first = started.process
    started.start()
    assert started.process is first
    first.communicate(b"\n")

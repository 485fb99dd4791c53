"""The button that downloads CIFAR-100: a process of its own, of which the page says how it ended."""

import subprocess
import sys

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

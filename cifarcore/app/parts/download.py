"""One button that downloads CIFAR-100 for all sessions, in a process of its own: the app imports no torch."""

import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from cifarcore.app.pictures import HOW_TO_GET
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.data.downloading import progress_share

REFRESH_SECONDS = 1.0
_LINE = 900  #: letters: where both sources fail, each with its reason, and what to do


@dataclass
class _Download:
    process: subprocess.Popen | None = None
    log: Path = Path()
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin, unless one is under way."""
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                return
            with tempfile.NamedTemporaryFile(prefix="cifarcore-data-", suffix=".log", delete=False) as log:
                command = [sys.executable, "-m", "cifarcore", "data"]
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.log = Path(log.name)

    def last_line(self) -> str:
        """Of what the process wrote: how far it is, or why it failed."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:  # temporary files are cleared by some systems
            return ""
        return lines[-1] if lines else ""


@st.cache_resource(show_spinner=False)  # one for all sessions, so that none downloads what another does
def _download() -> _Download:
    return _Download()


def missing_pictures(view: View) -> None:
    """Why there are no pictures, in one line; where the download mends it, with the button."""
    problem = view.pictures.problem
    if problem != HOW_TO_GET:
        if problem:
            st.info(problem, icon=":material/hide_image:")
        return
    offer(HOW_TO_GET, "download-pictures")


def offer(why: str, key: str) -> None:
    """Say `why` the images are wanted, with the button that downloads them, whose key is `key`; or how far that is."""
    process = _download().process
    under_way = process is not None and process.poll() is None
    st.fragment(_offer, run_every=REFRESH_SECONDS if under_way else None)(under_way, why, key)


def _offer(under_way: bool, why: str, key: str) -> None:
    download = _download()
    status = None if download.process is None else download.process.poll()
    if under_way:
        if status is not None:
            st.rerun(scope="app")  # the pictures are there, or why not is said
        line = download.last_line()
        share = progress_share(line)
        if share is None:
            st.progress(0.0, "Downloading CIFAR-100")
        else:
            st.progress(share, escape(line, _LINE) if share < 1 else "Unpacking and checking CIFAR-100")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(why, icon=":material/hide_image:", width="stretch")
        pressed = st.button("Download CIFAR-100", icon=":material/download:", key=key)
    if status:
        st.error(f"The download failed: {told(download.last_line() or 'no reason given', _LINE)}")
    if pressed:
        try:
            download.start()
        except OSError as error:  # a full disk
            st.error(f"The download was not started: {told(error, 300)}")
            return
        st.rerun(scope="app")

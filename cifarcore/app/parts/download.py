"""One button that downloads CIFAR-100 for all sessions, in a process of its own: the app imports no torch."""

import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from cifarcore.app.pictures import HOW_TO_GET
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.data.cifar100 import data_dir

ARCHIVE, BYTES = "cifar-100-python.tar.gz", 169_001_437  #: as torchvision keeps it
REFRESH_SECONDS = 1.0


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
        archive = data_dir() / ARCHIVE
        share = min(1.0, archive.stat().st_size / BYTES) if archive.exists() else 0.0
        st.progress(share, f"Downloading CIFAR-100: {share:.0%}" if share < 1 else "Unpacking and checking CIFAR-100")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(why, icon=":material/hide_image:", width="stretch")
        pressed = st.button("Download CIFAR-100", icon=":material/download:", key=key)
    if status:
        last = download.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        st.error(f"The download failed: {escape(last[0] if last else 'no reason given', 400)}")
    if pressed:
        download.start()
        st.rerun(scope="app")

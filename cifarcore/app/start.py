"""Starting the app's server where there is no checkout: the script it runs, its settings, and a folder of chosen runs.

Streamlit takes its settings from beside the script, so the script lies in the user's cache folder, not in the package.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from cifarcore.data.packs import PACK
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, runs_dir
from cifarcore.places import cache_folder, data_home, expanded
from cifarcore.runs.archive import NO_RUN, SUFFIX

SCRIPT = "streamlit_app.py"
#: as streamlit_app.py in a checkout
_ENTRY = """\
from pathlib import Path

import streamlit as st

from cifarcore.app.serving import MIDDLEWARE, draw, routes

ROOT = Path(__file__).resolve().parent
if __name__ == "__main__":
    draw(ROOT)
else:
    app = st.App(__file__, routes=routes(ROOT), middleware=MIDDLEWARE)
"""


def runs_folder(paths: Sequence[Path]) -> Path:
    """The folder that the app opens: the one named, a folder of links to the run files named, or what is there.

    Raises CifarcoreError where one is not there, or folders and files are mixed.
    """
    if not paths:
        here = runs_dir()
        return (here if here.is_dir() else Path()).resolve()
    if missing := next((path for path in paths if not path.exists()), None):
        raise CifarcoreError(f"{missing}: no such file or folder; name run files (.npz) or a folder of them")
    if len(paths) == 1 and paths[0].is_dir():
        return paths[0].resolve()
    if folder := next((path for path in paths if path.is_dir()), None):
        raise CifarcoreError(f"{folder}: is a folder; name either one folder or only run files")
    if other := next((path for path in paths if path.suffix.lower() != SUFFIX), None):
        raise CifarcoreError(f"{other}: {NO_RUN}")
    return _linked(list(dict.fromkeys(path.resolve() for path in paths)))


def start(runs: Path, port: int, browser: bool) -> int:
    """Serve the app on the folder `runs` until it is stopped; returns the server's exit status."""
    place = prepared()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(place / SCRIPT),
        "--server.headless",
        str(not browser).lower(),
    ]
    command += ["--server.port", str(port)] if port else []
    environment = os.environ | {"CIFARCORE_RUNS": str(runs)}
    if data := os.environ.get("CIFARCORE_DATA"):
        environment["CIFARCORE_DATA"] = str(expanded(data).resolve())
    server = subprocess.Popen(command, cwd=place, env=environment)
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:  # the server hears it too, and ends by itself
            continue


def prepared() -> Path:
    """A folder with the script and Streamlit's settings, made or brought up to date."""
    place = cache_folder() / "app"
    settings = files("cifarcore.app").joinpath("streamlit.toml").read_bytes()
    for path, content in ((place / SCRIPT, _ENTRY.encode()), (place / ".streamlit" / "config.toml", settings)):
        if not path.exists() or path.read_bytes() != content:
            with atomic_write(path) as file:
                file.write(content)
    return place


def is_chosen(folder: Path) -> bool:
    """Whether `folder` was made for run files that were named one by one."""
    return folder.parent == _chosen()


def _chosen() -> Path:
    return data_home() / "chosen"


def _linked(paths: Sequence[Path]) -> Path:
    """A folder of the user's with a link to each run file and what is kept beside it; always the same for the same
    files.
    """
    from cifarcore.runs.corrupted import corrupted_path  # with pandas, which starting the server does not need

    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.stem.casefold(), path)) != path:  # a file system may know no capitals
            raise CifarcoreError(f"{other} and {path} share their name; rename one of them")
    key = hashlib.blake2b(b"\0".join(sorted(map(os.fsencode, paths))), digest_size=8).hexdigest()
    folder = _chosen() / key
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        for beside in (path, path.with_suffix(".pt"), corrupted_path(path), path.with_name(path.stem + PACK)):
            link = folder / (f"{path.stem}{SUFFIX}" if beside == path else beside.name)  # no capitals in the ending
            link.unlink(missing_ok=True)  # of what is gone by now, too
            if beside.exists():
                try:
                    link.symlink_to(beside)
                except OSError:  # Windows without the right to make links
                    shutil.copy2(beside, link)
    return folder

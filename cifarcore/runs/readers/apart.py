"""Reading a file in a process of its own, for libraries of C++: what damage ends there is not the app."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cifarcore.errors import CifarcoreError

SECONDS = 300


@contextmanager
def read_apart(module: str, path: Path, remedy: str) -> Iterator[Path]:
    """What `python -m module PATH OUT` wrote into OUT. Raises CifarcoreError with the last line that it says, and where
    it does not end in time, with the `remedy`.
    """
    here = str(Path(__file__).resolve().parents[3])
    search = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "read"
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, str(path.resolve()), str(out)],
                capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=SECONDS,
                env=os.environ | {"PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CifarcoreError(f"not read within {SECONDS} seconds; {remedy}") from None
        if done.returncode == 1 and done.stderr.strip():
            raise CifarcoreError(done.stderr.strip().splitlines()[-1][:1000])
        if done.returncode or not out.is_file():
            raise CifarcoreError(f"the process that reads it ended; {remedy}")
        yield out

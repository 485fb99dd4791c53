"""What the hostile tests share: a file system of their own, a process of another user, a full disk, a folder's
contents.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

NOBODY = 65534


def mount(place: Path, size: str) -> None:
    """A file system of its own at `place`; skips where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here: run as root where mounting is allowed")


def child(code: str, *arguments, as_nobody: bool = False, **options) -> subprocess.CompletedProcess:
    """Run Python `code` in a process of its own; what it imports before `drop()` is imported as this user.

    With `as_nobody` root becomes another user at `drop()`, since root is never denied anything.
    """
    drop = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})" if as_nobody and os.geteuid() == 0 else "pass"
    # zipfile's encoding is imported when first used, from a Python that another user may not read
    head = f"import os, sys, encodings.cp437\nsys.path[:0] = {sys.path!r}\ndef drop():\n    {drop}\n"
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    options = {"env": os.environ | {"PYTHONPATH": str(ROOT)}, "cwd": "/", "timeout": 120} | options
    return subprocess.run(command, capture_output=True, text=True, **options)


def fill(place: Path) -> Path:
    """Write until nothing more fits; returns the file that holds the space."""
    with (place / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 8, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                pass
    return place / "filler"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, to be compared with what is there afterwards."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

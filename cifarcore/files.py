"""Writing a file so that a reader sees the old one or the new one, never half of it; and what a file may be called."""

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from cifarcore import CifarcoreError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def is_plain(name: str) -> bool:
    """Whether `name` is fit for a file or folder of its own anywhere, and leads nowhere else."""
    return _PLAIN.fullmatch(name) is not None


def check_plain(name: str) -> None:
    """Raises CifarcoreError for a name that is not plain."""
    if not is_plain(name):
        raise CifarcoreError(
            f"name is {name[:100]!r}; use up to 80 letters, digits, - and _, beginning with a letter or digit"
        )


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success flush it to disk and rename it onto `path`.

    On any error, Ctrl-C among them, the temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False)
    try:
        with file:  # Windows renames and removes no open file
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)  # the temporary file is private; what it becomes need not be
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


@contextmanager
def no_leftovers(*paths: Path) -> Iterator[None]:
    """Delete what writers of `paths` left beside them when they were killed: before the work, and after it where it fails."""

    def clean() -> None:
        for path in paths:
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                left.unlink(missing_ok=True)

    clean()
    try:
        yield
    except Exception:
        clean()
        raise

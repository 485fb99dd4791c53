"""Writing a file so that a reader sees the old one or the new one, never half of it; what a file may be called; and
where run files are.
"""

import errno
import glob
import hashlib
import os
import re
import secrets
import stat
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import filelock

from cifarcore.errors import CifarcoreError
from cifarcore.places import cache_folder, expanded

MOST_LISTED = 1 << 22  #: bytes of a zip archive's list of entries, some forty thousand
PATIENCE = 5.0  #: seconds for which another writer of the same file is waited for
_JUNCTION = 0xA0000003  #: the tag of Windows' links to folders, which need no right
_PLAIN = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)$)[A-Za-z0-9][A-Za-z0-9_-]{0,79}")  # Windows' devices are none


def runs_dir(root: str | Path = "") -> Path:
    """The folder of run files: `$CIFARCORE_RUNS`, else `checkpoints/` in `root`."""
    return expanded(os.environ.get("CIFARCORE_RUNS") or Path(root) / "checkpoints")


def is_plain(name: str) -> bool:
    """Whether `name` is fit for a file or folder of its own anywhere, and leads nowhere else."""
    return _PLAIN.fullmatch(name) is not None


class Version(NamedTuple):
    """A file as it is at one moment; another one once it is written or replaced, within a tick of the clock too."""

    raw: bytes  #: its path, which need not be text
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def path(self) -> Path:
        return Path(os.fsdecode(self.raw))


def version(path: Path) -> Version:
    """The version of the file `path`. Raises OSError where it is not there."""
    at = path.stat()
    return Version(os.fsencode(path), at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)


def seen(path: Path) -> Version | None:
    """The version of `path` as it is shown now; None where it is not there, or no file can be called so."""
    try:
        return version(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null character is a ValueError
        return None


def refuse_changed(path: Path, seen: Version | None) -> None:
    """Raises CifarcoreError where `path` is another file by now than the one that was `seen`; None: whatever it is."""
    try:
        changed = seen is not None and version(path) != seen
    except FileNotFoundError:
        changed = True
    if changed:
        raise CifarcoreError(f"{path.stem}: has changed since it was shown; reload and look again")


def is_link(path: Path) -> bool:
    """Whether `path` is a link: a symbolic one, or a junction of Windows."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def refuse_links(*places: Path) -> None:
    """Raises CifarcoreError where one of `places` is a link: what works in a folder must not reach out of it."""
    for place in places:
        if is_link(place):
            raise CifarcoreError(f"{place}: is a link out of its folder, which is not followed; remove the link")


def check_plain(name: str) -> None:
    """Raises CifarcoreError for a name that is not plain."""
    if not is_plain(name):
        raise CifarcoreError(
            f"name is {name[:100]!r}; use up to 80 letters, digits, - and _, beginning with a letter or digit"
        )


def plain_name(text: str) -> str:
    """`text` made a plain name: ASCII letters, digits, - and _; "run" where nothing is left of it.

    Where letters of other scripts are lost, or an end, a digest tells names apart that differ in these.
    """
    whole = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_") or "run"
    name = whole[:80].rstrip("-_")
    if len(whole) > 80 or any(c.isalnum() and not c.isascii() for c in text):  # a long name ends in its seed
        name = f"{name[:73]}-{hashlib.blake2b(text.encode(errors='replace'), digest_size=3).hexdigest()}"
    return name if is_plain(name) else f"{name}-run"


def download_name(*parts: str, suffix: str) -> str:
    """What a download is called: its parts, joined, in the letters of any language and as any file system takes
    them.
    """
    return "_".join(re.sub(r"\W+", "-", part).strip("-") for part in parts) + suffix


def open_file(path: Path) -> BinaryIO:
    """Open a file to read it. Raises OSError for what is none as well: a device has no end, and a pipe keeps whoever
    opens it waiting and is read but once.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "is no file", str(path))
    return path.open("rb")


def read_whole(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes. Raises OSError for a larger one, and as `open_file`."""
    with open_file(path) as file:
        content = file.read(most + 1)  # whatever size it is said to have
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than the {most >> 20} MiB that are read", str(path))
    return content


def open_zip(file: BinaryIO, most: int = MOST_LISTED) -> zipfile.ZipFile:
    """The archive in `file`, to be read. Raises BadZipFile where its list of entries takes more than `most` bytes:
    zipfile makes objects of all of them, ten times as large.
    """
    listed = _Listed(file, most)
    archive = zipfile.ZipFile(cast(BinaryIO, listed))
    listed.most = None
    return archive


class _Listed:
    """A file of which no more than `most` bytes are read at once."""

    def __init__(self, file: BinaryIO, most: int | None):
        self.file, self.most = file, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise zipfile.BadZipFile(f"its list of entries has {size:,} bytes; at most {self.most:,} are read")
        return self.file.read(size)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success flush it to disk and rename it onto `path`.

    On any error, Ctrl-C among them, the temporary file is removed and `path` is left as it was. What a link leads to is
    replaced, not the link; a device or a pipe is written to. The file has the mode that it had, else the usual one.
    """
    path = Path(path)
    if not path.name:  # `.`, which no other name can be beside
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        mode: int | None = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        with path.open("wb") as device:
            yield device
        return
    if path.is_symlink():  # after the devices: what /dev/stdout leads to has no path where it is a pipe
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:  # Windows renames and removes no open file
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            with suppress(OSError):  # not every file system has modes, and not every owner may set them
                temporary.chmod(stat.S_IMODE(mode))
        _take_place(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names no file, and the temporary one says nothing to a user
        raise


def refuse_no_text(path: Path, flag: str = "") -> None:
    """Raises CifarcoreError where the file `path`, in whose place a report is to be written, holds no text, as run
    files, weights and pictures do.
    """
    if path.is_file():
        with path.open("rb") as file:
            if b"\0" in file.read(1 << 12):
                raise CifarcoreError(f"{flag}{path}: is no text, which a report may replace; name another file")


def write_report(path: str | Path, content: bytes) -> Path:
    """Write `content` in place of `path`, atomically. Raises CifarcoreError where there is a file that is no text."""
    path = Path(path)
    refuse_no_text(path)
    with atomic_write(path) as file:
        file.write(content)
    return path


def _take_place(temporary: Path, path: Path) -> None:
    """Rename onto `path`; on Windows as soon as nobody has it open, who reads it has it but for an instant."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if sys.platform != "win32" or path.is_dir() or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def sole_writer(path: Path, busy: str = "") -> Iterator[None]:
    """Write `path` as the only one, of all sessions and processes of this user and machine.

    Raises CifarcoreError where another writes it for longer than PATIENCE, which `busy` says, and where no lock can be
    made.
    """
    name = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=8).hexdigest()
    lock = filelock.FileLock(cache_folder() / f"writing-{name}.lock", timeout=PATIENCE)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CifarcoreError(
            busy or f"{path}: is being written by another process; try again, or choose another name"
        ) from None
    except OSError as error:  # a full disk
        raise CifarcoreError(
            f"{path}: cannot be locked ({error.strerror or error}); make room in {cache_folder()}"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def no_leftovers(*paths: Path) -> Iterator[None]:
    """Delete what writers of `paths` left beside them when they were killed: before the work, and after it where it
    fails.
    """

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

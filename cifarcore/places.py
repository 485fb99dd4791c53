"""Folders of the user that this package keeps files in, also for users who have no home. A leaf."""

import os
import tempfile
from pathlib import Path

import platformdirs

from cifarcore.errors import CifarcoreError

_NAME = "cifarcore"


def expanded(path: str | Path) -> Path:
    """`path` with the home folder for a leading ~. Raises CifarcoreError for a user who is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise CifarcoreError(f"{path}: there is no such user's home folder; write the path in full") from None


def cache_folder() -> Path:
    """Where files lie that can be made anew, made if need be: the user's cache folder, else a temporary one."""
    return _made(lambda: platformdirs.user_cache_path(_NAME))


def data_home() -> Path:
    """Where files lie that are to stay, made if need be: the user's data folder, else a temporary one."""
    return _made(lambda: platformdirs.user_data_path(_NAME))


def with_home() -> None:
    """A home for this process where the user has none: libraries, altair among them, ask for it when imported."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_temporary())


def _made(place) -> Path:
    try:
        folder = place()
        if "~" in folder.parts:  # of a user who has no home
            raise OSError
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # a home that cannot be written, or none
        pass
    return _temporary()


def _temporary() -> Path:
    """A folder of this user's own among the temporary ones."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"{_NAME}-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        stat = folder.lstat()
    except OSError as error:
        raise CifarcoreError(f"{folder}: {error.strerror}; set XDG_CACHE_HOME to a folder that you may write") from None
    if folder.is_symlink() or (hasattr(os, "getuid") and stat.st_uid != os.getuid()):
        raise CifarcoreError(f"{folder}: is not yours; set XDG_CACHE_HOME to a folder that you may write")
    return folder

"""How much memory there is for this process, and refusing what would not fit. A leaf."""

import sys
from functools import cache
from pathlib import Path

import psutil

from cifarcore.errors import CifarcoreError

_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
#: of the memory, what a single piece of work may take
SHARE = 0.5


@cache  # asked before each large array, and the same as long as the process lives
def memory_bytes() -> int:
    """The machine's memory, or less where a container or the shell (`ulimit -v`) allows less."""
    limits = [psutil.virtual_memory().total]
    for path in map(Path, _CONTAINER_LIMITS):
        try:
            limits.append(int(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # no container, or "max"
            continue
    limit = address_limit()
    limits += [] if limit is None else [limit]
    return min(each for each in limits if each > 0)


def address_limit() -> int | None:
    """Bytes of addresses that the shell allows (`ulimit -v`); None without a limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def refuse_beyond_memory(needed: float, what: str) -> None:
    """Raises CifarcoreError where `what` takes more bytes than a share of the memory."""
    if needed > SHARE * memory_bytes():
        raise CifarcoreError(
            f"{what} takes about {needed / 2**30:.1f} GiB, too much for the {memory_bytes() / 2**30:.1f} GiB of this "
            "machine; use a larger one, or fewer images or classes"
        )

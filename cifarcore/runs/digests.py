"""Digests of runs: equal digests, equal content, whatever was made of a run since.

Knows NumPy alone; a run is any dataclass with a `path` and a `digest`.
"""

import hashlib
from dataclasses import fields
from typing import Any
from weakref import ref

import numpy as np


class _Digest(str):
    """A digest that knows what it is of: `dataclasses.replace` hands it on to what has other content."""

    of: tuple[Any, ...]

    def __new__(cls, text: str, content: tuple[Any, ...]) -> "_Digest":
        digest = super().__new__(cls, text)
        digest.of = tuple(ref(each) if isinstance(each, np.ndarray) else each for each in content)
        return digest

    def is_of(self, content: tuple[Any, ...]) -> bool:
        known = (each() if isinstance(each, ref) else each for each in self.of)
        return all(one is other for one, other in zip(known, content, strict=True))

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, (str(self),)


def own_digest(run: Any) -> str:
    """The digest of `run`; "" where it is that of the run from which this one was made with other content."""
    content = tuple(getattr(run, each.name) for each in fields(run) if each.name not in ("path", "digest"))
    if isinstance(run.digest, _Digest):
        return run.digest if run.digest.is_of(content) else ""
    return run.digest and _Digest(run.digest, content)


def derived_digest(digest: str, choice: np.ndarray) -> str:
    """That of a run of this `digest` after a `choice` of rows or columns; "" of none."""
    chosen = hashlib.blake2b(digest.encode() + choice.tobytes(), digest_size=16).hexdigest()
    return chosen if digest else ""

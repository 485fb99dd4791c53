"""Charts as pure functions from DataFrame to Altair, a module a page; `marks` are HTML.

A module is loaded when it is first used as `charts.module`: the first page has no chart of Altair's, which takes long
to import.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")

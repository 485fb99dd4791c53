"""Train image classifiers on CIFAR-100 and compare two of them, image by image.

What is offered here is loaded when it is first used, so that importing the package takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cifarcore.errors import CifarcoreError
from cifarcore.version import __version__ as __version__

if TYPE_CHECKING:
    from cifarcore.reports.result import compare
    from cifarcore.runs.run import Run, load_run, save_run

__all__ = ["CifarcoreError", "Run", "compare", "load_run", "save_run"]

_HOMES = {
    "Run": "cifarcore.runs.run",
    "compare": "cifarcore.reports.result",
    "load_run": "cifarcore.runs.run",
    "save_run": "cifarcore.runs.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

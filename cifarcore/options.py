"""A field of a config: its default, help, choices and bounds, told in words by `--help` and checked by one function."""

from dataclasses import Field, field, fields
from numbers import Integral, Real
from typing import Any

from cifarcore.errors import CifarcoreError
from cifarcore.text import brief

MOST = 1_000_000_000  #: of every number for which nothing lower is named
_BOUNDS = ("low", "high", "above", "below")


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    path: str = "",
) -> Any:
    """A field of a config with what `check` and `--help` know of it.

    `low` and `high` are allowed themselves, `above` and `below` are not. `path` says what text is the path of: FILE,
    FOLDER or RUN.
    """
    bounds = {"low": low, "high": high, "above": above, "below": below}
    metadata = {"help": help, "choices": choices, **bounds, "path": path}
    return field(default=default, metadata=metadata)


def allowed(item: Field) -> str:
    """The choices or bounds of a field in words, such as "cnn or resnet18" or "0 to 1"; empty where there are none."""
    low, high, above, below = (item.metadata[name] for name in _BOUNDS)
    if choices := [choice for choice in item.metadata["choices"] if choice]:
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    if above is not None:
        return f"between {above} and {below}" if below is not None else f"above {above}"
    if low is None:
        return ""
    return f"{low} to {high}" if high is not None else f"at least {low}"


def check(config: Any) -> None:
    """Raises CifarcoreError for the first field of another type than its default's, or outside its choices or
    bounds.
    """
    for item in fields(config):
        value, known = getattr(config, item.name), item.metadata
        if not _is_like(value, item.default):
            raise CifarcoreError(f"{item.name} is {brief(value)}; give a value like {item.default!r}")
        if known["choices"] and value not in known["choices"]:
            choices = ", ".join(filter(None, known["choices"]))
            raise CifarcoreError(f"{item.name} is {brief(value)}; choose one of {choices}")
        if isinstance(item.default, Real) and not _is_inside(value, **{name: known[name] for name in _BOUNDS}):
            raise CifarcoreError(f"{item.name} is {brief(value)}; give {allowed(item)}")


def _is_like(value: object, default: object) -> bool:
    """Whether the types fit: a whole number passes for any number, but no truth value does."""
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    kind = next(kind for kind in (Integral, Real, str, tuple) if isinstance(default, kind))
    return isinstance(value, kind)


def _is_inside(value: float, low: float | None, high: float | None, above: float | None, below: float | None) -> bool:
    return (
        (-MOST if low is None else low) <= value <= (MOST if high is None else high)  # false for NaN
        and (above is None or value > above)
        and (below is None or value < below)
    )

"""Flags of a command, made from a config dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.options import allowed
from cifarcore.presets import PRESETS


def run_files(named: list[Path]) -> list[Path]:
    """The files named, without the features that `evaluate` leaves beside run files, which *.npz names too."""
    return [path for path in named if not path.name.endswith(".features.npz")] or named


def config_flags(cls: type, *leave_out: str) -> Callable[[Callable], Callable]:
    """Give a command one flag for each field of a config dataclass; those set arrive as the dict `changes`."""

    def decorate(command: Callable) -> Callable:
        fixed = [
            parameter for parameter in inspect.signature(command).parameters.values() if parameter.name != "changes"
        ]
        flags = []
        for item in fields(cls):
            if item.name in leave_out:
                continue
            numbers = isinstance(item.default, tuple)
            shown = ",".join(map(str, item.default)) if numbers else item.default
            of_preset = cls is TrainConfig and any(
                item.name in made for both in PRESETS.values() for made in both.values()
            )
            default = "as the preset has it" if of_preset else f"default {shown!r}" if shown != "" else ""
            limits = "; ".join(filter(None, (allowed(item), default)))
            shown_help = item.metadata["help"] + (f" ({limits})" if limits else "")
            option = typer.Option(help=shown_help, metavar=item.metadata["path"] or None)
            kind = str if numbers else type(item.default)
            flags.append(
                inspect.Parameter(
                    item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
                )
            )

        @wraps(command)
        def run(**values):
            given = {flag.name: values.pop(flag.name) for flag in flags}
            changes = {name: value for name, value in given.items() if value is not None}
            for name, value in changes.items():
                if isinstance(value, str) and isinstance(getattr(cls, name), tuple):
                    changes[name] = _numbers(name, value)
            return command(**values, changes=changes)

        signature = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in fixed] + flags
        run.__signature__ = inspect.Signature(signature)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
        return run

    return decorate


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CifarcoreError(
            f"{name} is {text!r}; give whole numbers with commas between, such as 64,128,256"
        ) from None

"""What all commands share: the console, the data option, and how a table is printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# Wide where nobody looks on, so that a log or a pipe gets one message a line.
console = Console(width=None if sys.stdout.isatty() else 200)

DEFAULT_FOLDER = Path("checkpoints")
DataOption = Annotated[
    str | None, typer.Option("--data", help="Data folder; else $CIFARCORE_DATA, else a user cache folder.")
]


def print_table(table) -> None:
    console.print(
        table.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep=""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def load_dataset(name: str, folder: str | None):
    if name == "synthetic":
        from cifarcore.synthetic import make_synthetic

        return make_synthetic()
    from cifarcore.data import load_cifar100

    return load_cifar100(folder)

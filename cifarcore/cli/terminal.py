"""What the commands share: the console, the data option, and how a table and a training's progress are shown."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cifarcore.text import printable

# Python has no stream where it was closed (`>&-`), and the next file opened would have its place and what is printed
for _stream in ("stdout", "stderr"):
    if getattr(sys, _stream) is None:
        setattr(sys, _stream, open(os.devnull, "w", encoding="utf-8"))


class _Console(Console):
    """What files say is shown as it is, but for what would steer the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **options)


# A message is one line as it is, wherever it goes: names and paths hold no markup.
console = _Console(
    width=None if sys.stdout.isatty() else 200, markup=False, highlight=False, emoji=False, soft_wrap=True
)

DEFAULT_FOLDER = Path("checkpoints")
DataOption = Annotated[
    str | None, typer.Option("--data", help="Data folder; else $CIFARCORE_DATA, else a user cache folder.")
]


def print_table(table) -> None:
    console.print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep=""))


def load_dataset(name: str, folder: str | None):
    if name == "synthetic":
        from cifarcore.data.synthetic import make_synthetic

        return make_synthetic()
    from cifarcore.data.cifar100 import load_cifar100

    return load_cifar100(folder)


@contextmanager
def watched(name: str, go_on: str) -> Iterator[dict[str, Callable]]:
    """Show a training's progress and let Ctrl-C save it; yields what `fit` takes. `go_on` says how, once it was
    stopped.
    """
    from cifarcore.training.loop import Stopped

    asked = []

    def ask(number: int, frame: object) -> None:
        """The first time, stop after this step, saved; again, at once, since a validation has no step."""
        asked.append(True)
        if len(asked) > 1:
            raise KeyboardInterrupt

    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in stops]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(name, total=None, figures="")
            shown = 0

            def show(progress) -> None:
                nonlocal shown
                accuracy = "" if progress.val_accuracy is None else f" val. accuracy {progress.val_accuracy:.4f}"
                figures = (
                    f"epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.3f}{accuracy} "
                    f"{progress.images_per_second:.0f} images/s"
                )
                bar.update(task, completed=progress.step, total=progress.steps, figures=figures)
                if not console.is_terminal and progress.finished_epochs > shown:
                    console.print(f"{name} {figures}, {progress.seconds_left:.0f} s left")
                    shown = progress.finished_epochs

            yield {"on_progress": show, "should_stop": lambda: bool(asked)}
    except Stopped as stopped:
        console.print(f"{stopped}: {go_on}")
        raise typer.Exit(130) from None
    finally:
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)

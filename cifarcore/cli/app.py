"""The command that starts the app."""

from pathlib import Path
from typing import Annotated

import typer

from cifarcore.cli.terminal import console


def start_app(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="A folder of run files, or run files; else $CIFARCORE_RUNS, checkpoints/ or this folder."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the server; 0: the first free one from 8501.")
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Open run files in the app and compare two models side by side; Ctrl-C ends it."""
    from cifarcore.app.start import runs_folder, start

    folder = runs_folder(runs or [])
    console.print(f"opening {folder}")
    raise typer.Exit(start(folder, port, browser))

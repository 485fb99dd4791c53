"""The command that measures the properties of images, by which the app finds slices."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cifarcore.cli.terminal import DataOption, console


def properties(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run files whose pictures were kept beside them by import.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="A folder of pictures (class/picture.jpg), measured with size and aspect ratio.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Measure brightness, contrast, sharpness and more of the test images, once, for the page Slices."""
    from cifarcore.data.property_files import measure_source, sources
    from cifarcore.errors import CifarcoreError
    from cifarcore.runs.test_sets import pack_path

    places = [*sources(data, [pack_path(run) for run in runs or ()]), *([images] if images else [])]
    if not places:
        raise CifarcoreError("no pictures here; run `cifarcore data`, or name a folder with --images")
    for source in places:
        with Progress(TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
            task = bar.add_task("", total=None)
            path = measure_source(source, lambda done, total, t=task: bar.update(t, completed=done, total=total))
        console.print(f"measured {source}: {path}")

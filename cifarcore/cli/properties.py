"""The command that measures the properties of images, by which the app finds slices."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cifarcore.cli.flags import run_files
from cifarcore.cli.terminal import DataOption, console
from cifarcore.errors import CifarcoreError


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
    import numpy as np

    from cifarcore.data.property_files import measure_source, measured_folders, properties_of, sources
    from cifarcore.runs.run import load_run, read_header
    from cifarcore.runs.test_sets import pack_path

    for run in run_files(runs or []):
        read_header(run)  # refused before anything is measured
    places = [*sources(data, [pack_path(run) for run in runs or ()]), *([images] if images else [])]
    if not places:
        raise CifarcoreError("no pictures here; run `cifarcore data`, or name a folder with --images")
    for source in places:
        with Progress(TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
            task = bar.add_task("", total=None)
            path = measure_source(source, lambda done, total, t=task: bar.update(t, completed=done, total=total))
        console.print(f"measured {source}: {path}")
    without = []
    for run in run_files(runs or []):
        loaded = load_run(run)
        kept = [*places, *(path for path, _ in measured_folders())]
        brightness = properties_of(loaded.sample_ids, kept).get("brightness")
        count = 0 if brightness is None else int(np.isfinite(brightness).sum())
        console.print(f"{run}: {count:,} of {loaded.n_images:,} images are measured")
        without += [run] * (not count)
    if without:
        raise CifarcoreError(
            f"{without[0]}: none of the pictures measured is one of its images; give --images FOLDER with those that "
            "its sample ids are of"
        )

"""`cifarcore bench`: times and ratios, measured in one run."""

from pathlib import Path
from typing import Annotated

import typer

from cifarcore import CifarcoreError
from cifarcore.terminal import DEFAULT_FOLDER, print_table

bench = typer.Typer(help="Times and ratios, measured in one run; the machine should be quiet.", no_args_is_help=True)


@bench.command("metrics")
def bench_metrics(
    runs: Annotated[list[Path], typer.Argument(help="Two run files; A, then B.")],
) -> None:
    """Seconds of each page's numbers, first and cached, beside the loop over scikit-learn."""
    from cifarcore.bench_metrics import metrics_table
    from cifarcore.runs import load_run

    if len(runs) != 2:
        raise CifarcoreError(f"{len(runs)} run files named; bench metrics takes two")
    print_table(metrics_table(*map(load_run, runs)))


@bench.command("app")
def bench_app(
    root: Annotated[Path, typer.Option(help="Folder of streamlit_app.py.")] = Path("."),
    folder: Annotated[Path, typer.Option(help="Run files that the app opens.")] = DEFAULT_FOLDER,
    rounds: Annotated[int, typer.Option(help="How often everything is measured.")] = 3,
) -> None:
    """How fast the app answers in headless Chromium, and the bytes of each page, beside a bare Streamlit page."""
    from cifarcore.bench_app import app_table

    print_table(app_table(root.resolve(), folder.resolve(), rounds))


@bench.command("retrain")
def bench_retrain(
    cnn: Annotated[Path, typer.Argument(help="A CNN's run file, its weights beside it.")] = DEFAULT_FOLDER
    / "cnn-quick-0.npz",
    resnet: Annotated[Path | None, typer.Argument(help="A ResNet-18's, for the head on cached features.")] = None,
    seconds: Annotated[float, typer.Option(help="Of learning, each time.")] = 60.0,
) -> None:
    """The waits of a short retraining, and what it gives: three seeds of the defaults, and the head on cached features."""
    from cifarcore.bench_retrain import retrain_table

    print_table(retrain_table(cnn, resnet, seconds))

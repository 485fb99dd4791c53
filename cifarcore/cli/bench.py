"""`cifarcore bench`: times and ratios, measured in one run."""

from pathlib import Path
from typing import Annotated

import typer

from cifarcore.cli.terminal import DEFAULT_FOLDER, DataOption, console, load_dataset, print_table
from cifarcore.errors import CifarcoreError
from cifarcore.presets import preset_config

bench = typer.Typer(help="Times and ratios, measured in one run; the machine should be idle.", no_args_is_help=True)


@bench.command("metrics")
def bench_metrics(
    runs: Annotated[list[Path], typer.Argument(help="Two run files; A, then B.")],
) -> None:
    """Seconds of each page's numbers, first and cached, beside the loop over scikit-learn."""
    from cifarcore.experiments.bench_metrics import metrics_table
    from cifarcore.runs.run import load_run

    if len(runs) != 2:
        raise CifarcoreError(f"{len(runs)} run files named; bench metrics takes two")
    print_table(metrics_table(*map(load_run, runs)))


@bench.command("app")
def bench_app(
    root: Annotated[Path, typer.Option(help="Folder of streamlit_app.py.")] = Path("."),
    folder: Annotated[Path, typer.Option(help="Run files that the app opens.")] = DEFAULT_FOLDER,
    rounds: Annotated[int, typer.Option(help="Repetitions of the whole measurement.")] = 3,
    size: Annotated[
        bool, typer.Option("--size", help="Instead: generated runs of increasing size, and a folder of 200 files.")
    ] = False,
    sessions: Annotated[
        int, typer.Option(help="Instead: this many concurrent browser sessions, and the growth of the server's memory.")
    ] = 0,
    minutes: Annotated[float, typer.Option(help="Minutes that the sessions last.")] = 2.0,
    pause: Annotated[float, typer.Option(help="Seconds between a session's actions.")] = 5.0,
) -> None:
    """How fast the app answers in headless Chromium, and the bytes of each page, beside a bare Streamlit page."""
    from cifarcore.experiments import bench_app, bench_load

    if size:
        print_table(bench_load.files_table())
        print_table(bench_load.size_table(root.resolve()))
    elif sessions:
        print_table(bench_load.sessions_table(root.resolve(), folder.resolve(), sessions, minutes, pause))
    else:
        print_table(bench_app.app_table(root.resolve(), folder.resolve(), rounds))


@bench.command("retrain")
def bench_retrain(
    cnn: Annotated[Path, typer.Argument(help="A CNN's run file, its weights beside it.")] = DEFAULT_FOLDER
    / "cnn-quick-0.npz",
    resnet: Annotated[Path, typer.Argument(help="A ResNet-18's.")] = DEFAULT_FOLDER / "resnet18-longer-0.npz",
    seconds: Annotated[float, typer.Option(help="Budget in seconds; a third of it is tried too.")] = 60.0,
    root: Annotated[Path, typer.Option(help="Folder of streamlit_app.py.")] = Path("."),
) -> None:
    """Waiting times of a short retraining, and its gain over three seeds beside its targets and the previous method."""
    from cifarcore.experiments.bench_retrain import retrain_tables

    waits, aims = retrain_tables(root.resolve(), cnn, resnet, lambda name: load_dataset(name, None), seconds)
    print_table(waits)
    console.print("\ntest images, means of the retraining seeds; differences from the parent:")
    print_table(aims)


@bench.command("train")
def bench_train(
    report: Annotated[
        Path, typer.Option(help="Run file of the report's protocol with a validation split, for the time to accuracy.")
    ] = DEFAULT_FOLDER / "cnn-report-45k-0.npz",
    quick: Annotated[Path, typer.Option(help="Run file of the quick preset, against it.")] = DEFAULT_FOLDER
    / "cnn-quick-0.npz",
    maps: Annotated[
        Path | None, typer.Option(help="Also time both maps and the nearest images on this run's features; minutes.")
    ] = None,
    profile: Annotated[
        str,
        typer.Option(help="cnn or resnet18: only profile a training step, beside the least time its arithmetic needs."),
    ] = "",
    rounds: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 7,
    data: DataOption = None,
) -> None:
    """Training throughput beside a plain float32 DataLoader loop, measured in turn, and the time to accuracy."""
    from cifarcore.experiments import bench_train
    from cifarcore.runs.run import load_run
    from cifarcore.training.evaluation import features_of

    dataset = load_dataset("cifar100", data)
    if profile:
        from cifarcore.experiments.profiling import profile_table

        print_table(profile_table(preset_config(profile, "quick", init="random"), dataset))
        return
    timed = [load_run(path) for path in (report, quick)] if report.exists() else []
    speeds = bench_train.speed_table(dataset, rounds)
    console.print("training, images/s:")
    print_table(speeds)
    if timed:
        console.print(f"\nminutes to a validation accuracy of {bench_train.GOAL}, or as many as were not enough:")
        print_table(bench_train.time_to_accuracy(*timed, speeds))
    else:
        console.print(
            f"\nno time to accuracy, as there is no {report}: make it with `cifarcore train --model cnn --preset "
            "report "
            "--learning-rate 0.01 --validation-size 5000 --name report-45k` and `cifarcore evaluate`"
        )
    console.print("\nscoring, seconds:")
    print_table(bench_train.scoring_table(dataset))
    if maps:
        features = features_of(maps, load_run(maps), lambda name: load_dataset(name, data))
        if features is None:
            raise CifarcoreError(f"{maps} has no features and no checkpoint beside it; run `cifarcore evaluate` first")
        console.print("\nmaps and neighbours, seconds:")
        print_table(bench_train.maps_table(features))

"""The command line: one command per step, its flags made from the config dataclasses.

torch is imported only inside the commands that need it, so that the others start at once.
"""

import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cifarcore import CifarcoreError
from cifarcore.cli_bench import bench
from cifarcore.cli_flags import config_flags
from cifarcore.config import ImportConfig, ProjectConfig, RetrainConfig, TrainConfig, preset_config
from cifarcore.study_plan import TEACHER, chosen
from cifarcore.terminal import DEFAULT_FOLDER, DataOption, console, load_dataset, print_table, watched

app = typer.Typer(
    help="Train image classifiers on CIFAR-100 and compare two of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Read by `main` from the command line; here for the help text."""


@app.command()
def data(data: DataOption = None) -> None:
    """Download CIFAR-100, or check what is there; prints the counts and the fingerprint of the test split."""
    from cifarcore.data import TEST_FINGERPRINT, data_dir, load_cifar100

    folder = data_dir(data)
    dataset = load_cifar100(folder)  # refuses what has another fingerprint
    console.print(
        f"{dataset.name} in {folder}: {len(dataset.x_train)} training and {len(dataset.x_test)} test images, {dataset.n_classes} classes"
    )
    console.print(f"fingerprint of the test split: {TEST_FINGERPRINT}")


@app.command()
@config_flags(TrainConfig, "model", "preset")
def train(
    model: Annotated[str, typer.Option(help="cnn or resnet18")],
    changes: dict,
    preset: Annotated[str, typer.Option(help="report, quick or best")] = "quick",
    name: Annotated[str, typer.Option(help="Keep the run under this name instead of the preset's.")] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a stopped run of the same settings was.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the checkpoint goes.")] = DEFAULT_FOLDER,
    data: DataOption = None,
    save_every: Annotated[float, typer.Option(help="Seconds between saves of a running training.")] = 30.0,
) -> None:
    """Train a model; Ctrl-C saves, and --resume goes on as if it had never stopped. Under torchrun all processes train it together."""
    from dataclasses import replace

    from cifarcore.distributed import joined

    with joined() as world:
        console.quiet = not world.first
        config = preset_config(model, preset, **changes)
        if name:
            config = replace(config, preset=name)
        from cifarcore.training import fit

        with world.in_turn():
            dataset = load_dataset(config.dataset, data)
        with watched(config.name, "repeat the command with --resume") as watch:
            path = fit(
                config, dataset, folder, resume=resume, data_folder=data, save_every=save_every, world=world, **watch
            )
        console.print(f"wrote {path}; next: cifarcore evaluate {path}")


@app.command()
def study(
    model: Annotated[str, typer.Option(help="cnn or resnet18; else both.")] = "",
    only: Annotated[list[str] | None, typer.Option(help="Name of a change; repeat it for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat it for several; else 0.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the changes.")] = False,
    teacher: Annotated[str, typer.Option(help="Checkpoint that the distilled changes learn from.")] = TEACHER,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the weights beside the run files.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the run files go.")] = DEFAULT_FOLDER / "study",
    data: DataOption = None,
) -> None:
    """Train what is missing of the accuracy study, one change at a time, scored on the validation split; goes on where it was stopped."""
    changes = chosen(model, tuple(only or ()))
    if show:
        import pandas as pd

        columns = ("model", "name", "epochs", "arithmetic", "group", "what")
        print_table(pd.DataFrame([[getattr(change, name) for name in columns] for change in changes], columns=columns))
        return
    from cifarcore.runs import load_run
    from cifarcore.study import is_done, train_and_score

    planned = [(change, change.config(number, teacher)) for number in seed or [0] for change in changes]
    missing = [(change, config) for change, config in planned if not is_done(change, config, folder)]
    console.print(f"{len(planned) - len(missing)} of {len(planned)} are done")
    dataset = load_dataset("cifar100", data) if missing else None
    for change, config in missing:
        with watched(config.name, "repeat the command to go on") as watch:
            path = train_and_score(change, config, dataset, folder, keep=keep, data_folder=data, **watch)
        run = load_run(path)
        accuracy, minutes = run.correct.mean(), run.meta["train_seconds"] / 60
        console.print(f"wrote {path}: validation accuracy {accuracy:.4f} after {minutes:.1f} minutes")


@app.command()
def evaluate(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints (.pt) written by train.")],
    data: DataOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Score the test images with each checkpoint; writes the run file next to it."""
    from cifarcore.checkpoints import load_checkpoint
    from cifarcore.evaluation import evaluate_file
    from cifarcore.runs import load_run

    for path in sorted(checkpoints, key=lambda path: path.name.endswith(".resume.pt")):  # what is unfinished stops none
        dataset = load_dataset(load_checkpoint(path).config.dataset, data)
        written = evaluate_file(path, dataset, device)
        console.print(f"wrote {written}: test accuracy {load_run(written).correct.mean():.4f}")


@app.command()
@config_flags(ProjectConfig)
def project(
    runs: Annotated[list[Path], typer.Argument(help="Run files written by evaluate.")],
    changes: dict,
    align_to: Annotated[
        Path | None, typer.Option(help="Run whose maps the new ones are laid over; else the first one named.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Add the t-SNE and UMAP maps and the nearest training images to run files."""
    from cifarcore.evaluation import features_of
    from cifarcore.projection import project as project_run
    from cifarcore.runs import load_run, save_run

    config = ProjectConfig(**changes)
    for path in runs:
        run = load_run(path)
        reference = align_to or runs[0]
        features = features_of(path, run, lambda name: load_dataset(name, data))
        parts = (features.test, features.train, features.train_ids, features.train_labels) if features else ()
        save_run(
            project_run(run, *parts, align_to=None if reference == path else load_run(reference), config=config), path
        )
        console.print(f"added maps to {path}, made from the {'features' if features else 'log-probabilities'}")


@app.command()
@config_flags(RetrainConfig)
def retrain(
    changes: dict,
    run: Annotated[Path | None, typer.Option(help="Run file of the parent; its weights (.pt) lie beside it.")] = None,
    name: Annotated[str, typer.Option(help="Name of the new run; else made from the parent's and the focus.")] = "",
    resume: Annotated[str, typer.Option(help="Go on with the retraining of this name instead.")] = "",
    measure: Annotated[
        bool, typer.Option("--measure", help="Only measure how fast this machine would learn and score.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="Folder of run files; the new one goes into its subfolder retrained/.")
    ] = DEFAULT_FOLDER,
    data: DataOption = None,
) -> None:
    """Train a finished run a little further, on chosen classes above all; Ctrl-C keeps what was learned."""
    from cifarcore import jobs, retraining

    if bool(run) == bool(resume) or (measure and not run):
        raise CifarcoreError("name the parent with --run, or a retraining to go on with by --resume")
    if resume and set(changes) | ({"name"} if name else set()):
        raise CifarcoreError(f"{resume} goes on with the settings that it was started with; leave out the others")
    config = RetrainConfig(**changes)
    if measure:
        from cifarcore.retrainer import measure as measure_speed

        speed = measure_speed(run, config, folder, lambda name: load_dataset(name, data))
        console.print(f"learning {speed['learning']:.0f} images/s, scoring {speed['scoring']:.0f} images/s")
        return
    if resume:
        job = retraining.job_folder(folder, resume)
    else:
        jobs.refuse_if_busy()  # before anything is set up
        job = retraining.create(config, run, folder, name)
    before = {number: signal.signal(number, lambda *_: jobs.stop(job)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with jobs.working(job, _show_retraining) as record, ThreadPoolExecutor(1) as beside:
            images = None
            if not retraining.learns_from_kept_features(job):
                # read while torch is imported: each takes a second
                images = beside.submit(load_dataset, retraining.dataset_name(job), data)
            from cifarcore.retrainer import retrain as work

            came_out = work(job, record, lambda name: images.result() if images else load_dataset(name, data))
    except jobs.Busy:  # another began meanwhile
        if not resume:
            retraining.delete(folder, job.name)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    console.print(f"{job.name}: {came_out}")


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run files; those of one model and preset, as the files say, are its seeds.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The summary; else compare_summary.txt beside the first run file named.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the whole comparison as one offline page.")] = None,
    readme: Annotated[Path | None, typer.Option(help="Also bring the results table of this file up to date.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Instead of the summary, write here what each change of `cifarcore study` brought."),
    ] = None,
) -> None:
    """Mean ± std of each model over its seeds, and the paired comparison of the first two groups named."""
    from cifarcore.runs import load_run

    loaded = [load_run(path) for path in runs]
    if study:
        from cifarcore.study_table import write_study

        console.print(write_study(loaded, study, readme))
        return
    from cifarcore.summary import SUMMARY, update_readme, write_summary

    out = out or runs[0].parent / SUMMARY
    console.print(write_summary(loaded, out))
    if readme:
        update_readme(loaded, readme)
    if html:
        from cifarcore.report import write_html

        write_html(loaded, html)
    for path in filter(None, (out, readme, html)):
        console.print(f"wrote {path}")


@app.command("import")
@config_flags(ImportConfig)
def import_(
    predictions: Annotated[Path, typer.Argument(help=".npz, .npy, .csv or .parquet; or a run file.")],
    changes: dict,
    out: Annotated[Path | None, typer.Option(help="The run file; else checkpoints/imported/NAME.npz.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")] = False,
    data: DataOption = None,
) -> None:
    """Check someone else's predictions and keep them as a run file, which the app lists as imported/NAME."""
    from cifarcore.importing import import_file, run_name, run_path

    config = ImportConfig(**changes)
    out = out or run_path(DEFAULT_FOLDER, run_name(predictions, config))
    with Progress(TextColumn("reading pictures"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("", total=None, visible=False)
        found = import_file(
            predictions, out, config, data, overwrite,
            lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )  # fmt: skip
    run = found.run
    console.print(f"wrote {found.path}: {run.n_images:,} images, {run.n_classes} classes, {run.meta['scores']}")
    console.print(f"test accuracy {run.correct.mean():.4f}")
    for note in found.notes:
        console.print(f"note: {note}")


def main() -> None:
    """Entry point: an error is one line on stderr, exit status 2 for bad input and 1 for a failure."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except CifarcoreError as error:
        _fail(str(error), error.status, debug)
    except KeyboardInterrupt:
        _fail("stopped", 130, debug)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}; check the folder, its permissions and the free space", 1, debug)
    except Exception as error:  # the last resort: whatever it is, one line and not a page
        _fail(f"{type(error).__name__}: {error} (run with --debug to see where)", 1, debug)


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"cifarcore: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def _show_retraining(line: dict) -> None:
    """The lines of progress that a log should keep: those with a look at the validation split, and the other phases."""
    if line["phase"] != "learning":
        if line.get("done", 0) in (0, line.get("total")):
            share = f" {line['done']:.0f} of {line['total']:.0f} images" if "done" in line else ""
            console.print(f"{line['phase']}{share}")
    elif "val_images" in line:
        figures = [f"{line['fraction']:.0%}", f"step {line['step']:.0f}", f"{line['left']:.0f} s left"]
        words = {"loss": "loss", "val_accuracy": "val. accuracy", "val_focus_accuracy": "of the focus"}
        console.print(
            ", ".join(
                [
                    "learning " + figures[0],
                    *figures[1:],
                    *(f"{word} {line[key]:.4f}" for key, word in words.items() if key in line),
                ]
            )
        )


if __name__ == "__main__":
    main()

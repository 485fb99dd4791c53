"""The commands that train and score: train, study, evaluate, project."""

from pathlib import Path
from typing import Annotated

import typer

from cifarcore.cli.flags import config_flags, run_files
from cifarcore.cli.terminal import DEFAULT_FOLDER, DataOption, console, load_dataset, print_table, watched
from cifarcore.config import ProjectConfig, TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.experiments.study_plan import TEACHER, chosen
from cifarcore.presets import preset_config
from cifarcore.text import printable


@config_flags(TrainConfig, "model", "preset")
def train(
    model: Annotated[str, typer.Option(help="cnn or resnet18")],
    changes: dict,
    preset: Annotated[str, typer.Option(help="report, quick or best")] = "quick",
    name: Annotated[str, typer.Option(help="Save the run under this name instead of the preset's.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Resume a stopped run of the same settings.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a training of this name.")] = False,
    folder: Annotated[Path, typer.Option(help="Folder for the checkpoint.")] = DEFAULT_FOLDER,
    data: DataOption = None,
    save_every: Annotated[float, typer.Option(help="Seconds between saves of a running training.")] = 30.0,
) -> None:
    """Train a model, under torchrun on several GPUs; Ctrl-C saves, and --resume continues exactly where it stopped."""
    from dataclasses import replace

    from cifarcore.training.distributed import joined

    with joined() as world:
        console.quiet = not world.first
        config = preset_config(model, preset, **changes)
        if name:
            config = replace(config, preset=name)
        from cifarcore.training.loop import fit

        with world.in_turn():
            dataset = load_dataset(config.dataset, data)
        with watched(config.name, "repeat the command with --resume") as watch:
            asked = {"resume": resume, "overwrite": overwrite, "data_folder": data, "save_every": save_every}
            path = fit(config, dataset, folder, **asked, world=world, **watch)
        replacing = " --overwrite" if path.with_suffix(".npz").exists() else ""  # the run of another training
        console.print(f"wrote {path}; next: cifarcore evaluate {path}{replacing}")


def study(
    model: Annotated[str, typer.Option(help="cnn or resnet18; else both.")] = "",
    only: Annotated[list[str] | None, typer.Option(help="Name of a change; repeat it for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat it for several; else 0.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the changes.")] = False,
    teacher: Annotated[str, typer.Option(help="Checkpoint that the distilled changes learn from.")] = TEACHER,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the weights beside the run files.")] = False,
    folder: Annotated[Path, typer.Option(help="Folder for the run files.")] = DEFAULT_FOLDER / "study",
    data: DataOption = None,
) -> None:
    """Train the missing runs of the accuracy study, each with one setting changed; scored on the validation split."""
    changes = chosen(model, tuple(only or ()))
    if show:
        import pandas as pd

        columns = ("model", "name", "epochs", "arithmetic", "group", "what")
        print_table(pd.DataFrame([[getattr(change, name) for name in columns] for change in changes], columns=columns))
        return
    from cifarcore.experiments.study import is_done, train_and_score
    from cifarcore.runs.run import load_run

    planned = [(change, change.config(number, teacher)) for number in seed or [0] for change in changes]
    missing = [(change, config) for change, config in planned if not is_done(change, config, folder)]
    console.print(f"{len(planned) - len(missing)} of {len(planned)} are done")
    dataset = load_dataset("cifar100", data) if missing else None
    for change, config in missing:
        with watched(config.name, "repeat the command to continue") as watch:
            path = train_and_score(change, config, dataset, folder, keep=keep, data_folder=data, **watch)
        run = load_run(path)
        accuracy, minutes = run.correct.mean(), run.meta["train_seconds"] / 60
        console.print(f"wrote {path}: validation accuracy {accuracy:.4f} after {minutes:.1f} minutes")


def evaluate(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints (.pt) written by train.")],
    data: DataOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    corruption: Annotated[
        list[str] | None,
        typer.Option(
            help="Score corrupted test images instead: NAME:SEVERITY (1 to 5), NAME or all (1, 3 and 5); repeatable."
        ),
    ] = None,
    images: Annotated[int, typer.Option(help="With --corruption: how many of the test images.", min=1)] = 2000,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there in place of the run file, such as another run.")
    ] = False,
) -> None:
    """Score the test images with each checkpoint; writes the run file, or its --corruption file, next to it."""
    if corruption:
        if overwrite:
            raise CifarcoreError("--corruption adds to a file and replaces no run; leave out --overwrite")
        _evaluate_corrupted(checkpoints, data, device, corruption, images)
        return
    from cifarcore.runs.run import load_run
    from cifarcore.training.checkpoints import load_checkpoint
    from cifarcore.training.evaluation import evaluate_file

    for path in sorted(checkpoints, key=lambda path: path.name.endswith(".resume.pt")):  # what is unfinished stops none
        dataset = load_dataset(load_checkpoint(path).config.dataset, data)
        notes: list[str] = []
        written = evaluate_file(path, dataset, device, overwrite, notes.append)
        console.print(f"wrote {written}: test accuracy {load_run(written).correct.mean():.4f}")
        for note in notes:
            console.print(f"note: {note}")


def _evaluate_corrupted(
    checkpoints: list[Path], data: Path | None, device: str, corruption: list[str], images: int
) -> None:
    from cifarcore.training.checkpoints import load_checkpoint
    from cifarcore.training.robustness import conditions_of, evaluate_corrupted

    conditions = conditions_of(corruption)

    def report(name: str, severity: int, accuracy: float) -> None:
        console.print(f"{name} at severity {severity}: accuracy {accuracy:.4f}")

    for path in checkpoints:
        dataset = load_dataset(load_checkpoint(path).config.dataset, data)
        console.print(f"wrote {evaluate_corrupted(path, dataset, conditions, images, device, report)}")


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
    from cifarcore.evidence import absent
    from cifarcore.files import seen, sole_writer
    from cifarcore.runs.run import load_run, save_run
    from cifarcore.training.evaluation import features_of
    from cifarcore.training.projection import project as project_run

    config, reference, refusals = ProjectConfig(**changes), align_to, []
    if align_to:
        load_run(align_to)  # refused before anything is computed
    for path in run_files(runs):
        try:
            read, run = seen(path), load_run(path)
            if note := absent.note("maps", run):
                raise CifarcoreError(f"{path}: {note.removesuffix('.')}; name run files with scores")
            features = features_of(path, run, lambda name: load_dataset(name, data))
            parts = (features.test, features.train, features.train_ids, features.train_labels) if features else ()
            laid_over = None if reference in (None, path) else load_run(reference)
            mapped = project_run(run, *parts, align_to=laid_over, config=config)
            with sole_writer(path):
                if seen(path) != read:
                    raise CifarcoreError(f"{path}: was replaced while its maps were drawn; project it again")
                save_run(mapped, path)
        except CifarcoreError as error:  # the other files are still worked on
            refusals.append(error)
            continue
        reference = reference or path
        console.print(f"added maps to {path}, made from the {'features' if features else 'log-probabilities'}")
    for error in refusals[:-1]:
        typer.echo(f"cifarcore: {printable(str(error))}", err=True)
    if refusals:
        raise refusals[-1]

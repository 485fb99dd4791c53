"""The commands that compare runs and bring other people's predictions in."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cifarcore.cli.flags import config_flags, run_files
from cifarcore.cli.terminal import DataOption, console
from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import refuse_no_text, runs_dir, write_report

if TYPE_CHECKING:
    from cifarcore.reports.result import Result

#: where a file is wanted, if it is, and what writes it there
Output = tuple[Path | None, Callable[[Path], object]]


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run files; those of one model and preset, as the files say, are its seeds.")
    ],
    out: Annotated[Path | None, typer.Option(help="Also write the summary, which is printed, to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the whole comparison as one offline page.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write the comparison's verdict and tables as JSON, schema 1.")
    ] = None,
    readme: Annotated[Path | None, typer.Option(help="Also update the results table in this file.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of the summary, judge B − A: “accuracy >= -0.5” (points), “recall\\[otter] >= 0”. "
            "Repeatable; exit status 3 where the 95% CI does not meet one."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the outcome of --require as JUnit XML.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Instead of the summary, write here what each change of `cifarcore study` brought."),
    ] = None,
) -> None:
    """Mean ± std of each model over its seeds, and the first two models named compared, or two seeds of one model."""
    from cifarcore.runs.run import load_run

    _refuse_same(runs, {"out": out, "html": html, "json": json, "readme": readme, "junit": junit, "study": study})
    loaded = [load_run(path) for path in run_files(runs)]
    if junit and not require:
        raise CifarcoreError("--junit writes the outcome of requirements; give at least one --require")
    if require and (readme or study):
        raise CifarcoreError("--require judges two models and writes neither --readme nor --study; leave these out")
    if require:
        _gate(loaded, require, {"json": json, "junit": junit, "html": html, "out": out})
        return
    if study:
        from cifarcore.experiments.study_table import write_study

        console.print(write_study(loaded, study, readme))
        return
    from cifarcore.reports.summary import summary_text, update_readme

    @cache
    def result() -> "Result":
        from cifarcore.reports.result import first_two

        return first_two(loaded)

    text = summary_text(loaded)
    outputs: list[Output] = [
        (out, lambda path: write_report(path, text.encode())),
        (readme, lambda path: update_readme(loaded, path)),
        (html, lambda path: result().to_html(path, loaded)),
        (json, lambda path: result().to_json(path)),
    ]
    with _written(outputs) as written:
        console.print(text)  # after the files: a reader that closes the pipe must not prevent them
        for path in written:
            console.print(f"wrote {path}")


@contextmanager
def _written(outputs: Iterable[Output]) -> Iterator[list[Path]]:
    """Write every output that is asked for and can be; raise at the end why the others could not, all of them."""
    written: list[Path] = []
    problems: dict[str, Exception] = {}  # two reports may lack the same thing
    for path, write in outputs:
        if path:
            try:
                write(path)
                written.append(path)
            except (CifarcoreError, OSError) as error:
                problems.setdefault(str(error), error)
    yield written
    if len(problems) > 1:
        raise ExceptionGroup("not written", list(problems.values()))
    for error in problems.values():
        raise error


def _refuse_same(runs: list[Path], outputs: dict[str, Path | None]) -> None:
    """Raises CifarcoreError where a file would be written over a run file, or over another of them."""
    from cifarcore.runs.archive import is_run_file

    taken = {path.resolve(): "a run file that is compared" for path in runs}
    for flag, path in outputs.items():
        if path and path.is_dir():
            raise CifarcoreError(f"--{flag} {path}: is a folder; name a file")
        if path and (path.is_file() or not path.exists()):  # not a device
            # `--html A B` takes A for the page's name
            if what := taken.get(path.resolve()) or ("a run file" if is_run_file(path) else ""):
                raise CifarcoreError(f"--{flag} {path}: is {what}; name another file")
            refuse_no_text(path, f"--{flag} ")
            taken[path.resolve()] = f"the file of --{flag} too"


def _gate(loaded: list, require: list[str], files: dict[str, Path | None]) -> None:
    """Judge the requirements, write the files asked for, and leave with status 3 where one is not met."""
    import json

    from cifarcore.evidence import gate
    from cifarcore.evidence.comparison import names_of
    from cifarcore.reports import gate as report
    from cifarcore.reports.result import first_two
    from cifarcore.reports.summary import compared_sides, grouped, write_summary

    requirements = [gate.requirement(text) for text in require]
    n_models, sides = len(grouped(loaded)), compared_sides(loaded)
    if n_models > 2 or sides is None:
        raise CifarcoreError(f"--require compares two models and the files are of {n_models}; name those of two")
    outcomes, notes = gate.check_with_notes(requirements, sides.a, sides.b)
    names = names_of(sides.a, sides.b)
    met = all(outcome.met for outcome in outcomes)
    verdict = {"schema": 1, "names": dict(zip("ab", names, strict=True)), "met": met}
    verdict |= {"notes": notes, "requirements": report.records(outcomes)}
    content = json.dumps(verdict, indent=1, ensure_ascii=False).encode() + b"\n"
    outputs: list[Output] = [
        (files["json"], lambda path: write_report(path, content)),
        (files["junit"], lambda path: write_report(path, report.junit(outcomes, names, notes))),
        (files["html"], lambda path: first_two(loaded).to_html(path, loaded)),
        (files["out"], lambda path: write_summary(loaded, path)),
    ]
    with _written(outputs) as written:
        console.print(f"A: {names[0]}   B: {names[1]}   ({sides.why})")
        for outcome in outcomes:
            console.print(outcome.line)
        for note in notes:
            console.print(f"note: {note}")
        for path in written:
            console.print(f"wrote {path}")
    if not met:
        raise typer.Exit(3)


@config_flags(ImportConfig)
def import_(
    predictions: Annotated[
        list[Path],
        typer.Argument(help=".npz, .csv, .parquet, .json, .pt and others, or a run file; several: see --files."),
    ],
    changes: dict,
    out: Annotated[
        Path | None, typer.Option(help="The run file; else imported/NAME.npz in $CIFARCORE_RUNS or checkpoints/.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")] = False,
    data: DataOption = None,
) -> None:
    """Import predictions of any framework as a run file, which the app lists as imported/NAME."""
    from cifarcore.runs.archive import SUFFIX
    from cifarcore.runs.importing import check, imported_path, keep, refuse_existing, refuse_other_model
    from cifarcore.runs.understood import scores_of

    checked = check(predictions, ImportConfig(**changes), data)
    if out and out.suffix.lower() != SUFFIX:
        raise CifarcoreError(f"--out {out}: a run file ends in {SUFFIX}; name it so")
    if out and len(checked) > 1:
        raise CifarcoreError("--out names one file, and these are several runs; leave it out")
    places = [out or imported_path(runs_dir(), each.name) for each in checked]
    for each, place in zip(checked, places, strict=True):  # before any of them is written
        refuse_existing(place, overwrite, each.inputs)
        if not out:
            refuse_other_model(place, each)
    for each, place in zip(checked, places, strict=True):
        with Progress(TextColumn("reading pictures"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
            task = bar.add_task("", total=None, visible=False)
            imported = keep(
                each, place, overwrite,
                lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )  # fmt: skip
        run = imported.run
        console.print(f"wrote {imported.path}: {run.n_images:,} images, {run.n_classes} classes, {scores_of(run)}")
        console.print(f"test accuracy {run.correct.mean():.4f}")
        for note in imported.notes:
            console.print(f"note: {note}")

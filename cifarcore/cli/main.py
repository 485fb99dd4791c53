"""The command line: one command per step, its flags made from the config dataclasses.

torch is imported only inside the commands that need it, so that the others start at once.
"""

import io
import signal
import sys
import traceback
from typing import Annotated

import typer

from cifarcore.cli.app import start_app
from cifarcore.cli.bench import bench
from cifarcore.cli.comparing import compare, import_
from cifarcore.cli.explaining import explain
from cifarcore.cli.properties import properties
from cifarcore.cli.retraining import retrain
from cifarcore.cli.terminal import DataOption, console
from cifarcore.cli.training import evaluate, project, study, train
from cifarcore.errors import CifarcoreError
from cifarcore.places import with_home
from cifarcore.text import printable

app = typer.Typer(
    help="Train image classifiers on CIFAR-100 and compare two of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Read by `main` from the command line; here for the help text."""


@app.command()
def data(data: DataOption = None) -> None:
    """Download CIFAR-100 from www.cs.toronto.edu, or huggingface.co where that is slow or down; or check it."""
    from cifarcore.data.cifar100 import TEST_FINGERPRINT, data_dir, load_cifar100

    folder = data_dir(data)
    dataset = load_cifar100(folder)  # refuses what has another fingerprint
    console.print(
        f"{dataset.name} in {folder}: {len(dataset.x_train)} training and {len(dataset.x_test)} test images, "
        f"{dataset.n_classes} classes"
    )
    console.print(f"fingerprint of the test split: {TEST_FINGERPRINT}")


for _command in (train, study, evaluate, project, properties, explain, retrain, compare):
    app.command()(_command)
app.command("import")(import_)
app.command("app")(start_app)
app.add_typer(bench, name="bench")


def program() -> None:
    """Entry point: `main`, and a Ctrl-C while the interpreter shuts down, when all is written, ends it without a
    traceback.
    """
    try:
        main()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run a command: each error is one line on stderr, exit status 2 for bad input and 1 for a failure."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± or − shows ? and ends no command
    try:
        with_home()
        app()
    except KeyboardInterrupt:
        _fail(["stopped"], 130, debug)
    except ExceptionGroup as group:
        _fail([_line(error) for error in group.exceptions], _status(group.exceptions[0]), debug)
    except Exception as error:
        _fail([_line(error)], _status(error), debug)


def _status(error: Exception) -> int:
    return error.status if isinstance(error, CifarcoreError) else 1


def _line(error: Exception) -> str:
    if isinstance(error, CifarcoreError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}; check the folder, its permissions and the free space"
    return f"{type(error).__name__}: {error} (run with --debug to see where)"  # whatever it is, one line and not a page


def _fail(lines: list[str], status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    for line in lines:
        print(f"cifarcore: {printable(' '.join(line.split()))}", file=sys.stderr)
    sys.exit(status)

"""How commands end: the files they leave, the order of A and B, exit statuses, and what a terminal can show."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from made import made_run
from processes import ROOT, cifarcore, invoke
from typer.testing import CliRunner

from cifarcore import compare
from cifarcore.cli import main as cli
from cifarcore.cli import training
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def runs(tmp_path):
    """Run files of a worse and a better model, in this order."""
    folder = tmp_path / "runs"
    folder.mkdir()
    paths = []
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7)):
        paths.append(folder / f"{model}-made-0.npz")
        save_run(made_run(model=model, accuracy=accuracy), paths[-1])
    return paths


def ended(monkeypatch, capsys, *arguments):
    """Exit status of the command line, and its lines on stderr."""
    monkeypatch.setattr(sys, "argv", ["cifarcore", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0, capsys.readouterr().err.strip().splitlines()


def failing(monkeypatch, error):
    """Have `cifarcore evaluate` raise `error`."""

    def fail(*_):
        raise error

    import_module("cifarcore.training.evaluation")  # which would keep what it finds in place of load_checkpoint
    monkeypatch.setattr(training, "load_dataset", fail)
    monkeypatch.setattr("cifarcore.training.checkpoints.load_checkpoint", fail)


def test_the_model_named_first_is_a(runs, tmp_path):
    accuracy = {path: load_run(path).correct.mean() for path in runs}
    for a, b in (runs, runs[::-1]):
        out = tmp_path / "result.json"
        printed = invoke("compare", a, b, "--json", out)
        result = json.loads(out.read_text())
        groups = [path.stem.removesuffix("-0") for path in (a, b)]
        assert [result["names"][side] for side in "ab"] == groups
        assert f"A: {groups[0]}   B: {groups[1]}" in printed
        row = next(row for row in result["metrics"] if row["metric"] == "accuracy")
        assert (row["a"], row["b"]) == pytest.approx((accuracy[a], accuracy[b]))
        assert row["difference"] == pytest.approx(accuracy[b] - accuracy[a])
        assert result["better"] == ("B" if b == runs[1] else "A")


def test_out_names_the_only_summary(runs, tmp_path):
    out = tmp_path / "elsewhere.txt"
    printed = invoke("compare", *runs, "--out", out)
    assert printed == f"{out.read_text()}\nwrote {out}\n"
    assert sorted(path.name for path in runs[0].parent.iterdir()) == [path.name for path in runs]


def test_features_beside_run_files_may_be_named_with_them(runs, tmp_path, monkeypatch, capsys):
    """A shell's *.npz names them: the comparison ended at a missing array."""
    features = runs[0].with_suffix(".features.npz")
    np.savez(features, test=np.zeros((2, 3)))
    printed = invoke("compare", *sorted(runs[0].parent.glob("*.npz")), "--out", tmp_path / "s.txt")
    assert printed == invoke("compare", *runs, "--out", tmp_path / "s.txt")
    status, lines = ended(monkeypatch, capsys, "compare", features)
    assert status == 2 and len(lines) == 1 and "array 'schema' is missing" in lines[0]


def test_every_file_asked_for_is_written(runs, tmp_path):
    files = {flag: tmp_path / f"file.{flag}" for flag in ("out", "html", "json")}
    printed = invoke("compare", *runs, *(part for flag, path in files.items() for part in (f"--{flag}", path)))
    assert printed.splitlines()[-3:] == [f"wrote {path}" for path in files.values()]
    assert files["html"].read_text().startswith("<!doctype html>") and json.loads(files["json"].read_text())


@pytest.mark.parametrize("flag", ["--out", "--html", "--json", "--readme", "--junit", "--study"])
def test_no_report_takes_the_place_of_a_run_file(runs, flag, monkeypatch, capsys):
    """`--html A B C`, without a name for the page, took A for it: the run was lost."""
    spare = save_run(made_run(model="third"), runs[0].with_name("third.npz"))
    before = spare.read_bytes()
    status, lines = ended(monkeypatch, capsys, "compare", flag, spare, *runs, "--require", "accuracy >= -9")
    assert status == 2 and lines[0].endswith(f"{flag} {spare}: is a run file; name another file")
    assert spare.read_bytes() == before


@pytest.mark.parametrize("flag", ["--out", "--html", "--json", "--junit"])
@pytest.mark.parametrize("kind", [".pt", ".features.npz", ".corruptions"])
def test_no_report_takes_the_place_of_what_is_no_text(runs, flag, kind, monkeypatch, capsys):
    """What lies beside a run file is lost as easily as the run."""
    there = runs[0].with_suffix(kind)
    with there.open("wb") as file:
        np.savez(file, test=np.zeros((2, 3)))
    before = there.read_bytes()
    status, lines = ended(monkeypatch, capsys, "compare", *runs, flag, there, "--require", "accuracy >= -9")
    assert status == 2 and lines[0].endswith(
        f"{flag} {there}: is no text, which a report may replace; name another file"
    )
    for write in (compare(*runs).to_html, compare(*runs).to_json):
        with pytest.raises(CifarcoreError, match="is no text, which a report may replace"):
            write(there)
    assert there.read_bytes() == before


@pytest.mark.parametrize("flag", ["--out", "--html", "--json", "--readme", "--junit", "--study"])
def test_a_folder_is_refused_before_anything_is_computed(runs, tmp_path, flag, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "", tmp_path):
        status, lines = ended(monkeypatch, capsys, "compare", *runs, flag, folder)
        assert status == 2 and lines == [f"cifarcore: {flag} {folder or '.'}: is a folder; name a file"]


@pytest.mark.parametrize("flag", ["--readme", "--study"])
def test_a_gate_refuses_what_it_does_not_write(runs, tmp_path, flag, monkeypatch, capsys):
    status, lines = ended(monkeypatch, capsys, "compare", *runs, "--require", "accuracy >= -9", flag, tmp_path / "x")
    assert status == 2 and "writes neither --readme nor --study" in lines[0]


@pytest.mark.parametrize("gate", [(), ("--require", "accuracy >= -0.5")], ids=["summary", "gate"])
@pytest.mark.parametrize("refused", [("out",), ("html",), ("json",), ("html", "out")], ids="-".join)
def test_a_file_that_cannot_be_written_keeps_none_of_the_others(runs, tmp_path, gate, refused, monkeypatch, capsys):
    """Each that cannot is one line."""
    (tmp_path / "occupied").write_text("")
    files = {flag: tmp_path / f"file.{flag}" for flag in ("out", "html", "json")}
    files |= {flag: tmp_path / "occupied" / f"file.{flag}" for flag in refused}  # as root too
    flags = [part for flag, path in files.items() for part in (f"--{flag}", path)]
    monkeypatch.setattr(sys, "argv", ["cifarcore", "compare", *map(str, (*runs, *flags, *gate))])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed, said = capsys.readouterr()
    lines = said.splitlines()
    assert end.value.code == 1 and len(lines) == len(refused)
    assert {flag for flag in refused if any(f"{files[flag]}: " in line for line in lines)} == set(refused)
    written = [path for flag, path in files.items() if flag not in refused]
    assert all(path.exists() for path in written)
    assert printed.count("wrote ") == len(written) and "occupied" not in printed


@pytest.mark.parametrize("reader", ["of ASCII", "that has gone"])
@pytest.mark.parametrize("gate", [(), ("--require", "accuracy >= -0.5")], ids=["summary", "gate"])
def test_printing_decides_on_no_file(runs, tmp_path, reader, gate):
    """Neither a terminal that cannot show ± nor one that is closed keeps a file from being written."""
    files = {flag: tmp_path / f"file.{flag}" for flag in ("out", "html", "json")}
    flags = [str(part) for flag, path in files.items() for part in (f"--{flag}", path)]
    read, write = os.pipe()
    if reader == "that has gone":
        os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "cifarcore", "compare", *map(str, runs), *flags, *gate],
        stdout=subprocess.PIPE if reader == "of ASCII" else write,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        timeout=600,
    )
    os.close(write)
    assert all(path.exists() for path in files.values()), done.stderr
    assert "±" in files["out"].read_text()
    if reader == "of ASCII":
        os.close(read)
        assert done.returncode == 0, done.stderr
        assert gate or b"? is the sample standard deviation" in done.stdout


def test_import_writes_where_out_says_and_replaces_nothing_unasked(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "kept.npz"
    assert f"wrote {out}: 500 images, 10 classes" in invoke("import", runs[0], "--out", out)
    before = out.read_bytes()
    status, error = ended(monkeypatch, capsys, "import", runs[1], "--out", out)
    assert status == 2 and len(error) == 1 and "--overwrite" in error[0] and out.read_bytes() == before
    assert not (tmp_path / "checkpoints").exists()
    invoke("import", runs[1], "--out", out, "--overwrite")
    assert load_run(out).correct.mean() == load_run(runs[1]).correct.mean()
    invoke("import", runs[0])
    assert [path.name for path in (tmp_path / "checkpoints" / "imported").glob("*.npz")] == ["cnn-made-0.npz"]


def test_a_run_file_is_called_as_one(runs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "kept.csv"
    status, lines = ended(monkeypatch, capsys, "import", runs[0], "--out", out)
    assert status == 2 and lines == [f"cifarcore: --out {out}: a run file ends in .npz; name it so"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (CifarcoreError("two\nlines"), 2, "cifarcore: two lines"),
        (
            PermissionError(13, "Permission denied", "x.npz"), 1,
            "cifarcore: x.npz: Permission denied; check the folder, its permissions and the free space",
        ),
        (RuntimeError("odd"), 1, "cifarcore: RuntimeError: odd (run with --debug to see where)"),
    ],
    ids=["bad input", "the disk", "a fault"],
)  # fmt: skip
def test_each_end_has_its_status_and_one_line(monkeypatch, capsys, error, status, line):
    failing(monkeypatch, error)
    assert ended(monkeypatch, capsys, "evaluate", "x.pt") == (status, [line])
    debugged, lines = ended(monkeypatch, capsys, "evaluate", "x.pt", "--debug")
    assert debugged == status and lines[0].startswith("Traceback") and lines[-1] == line


def test_ctrl_c_ends_quietly_with_130(monkeypatch, capsys):
    failing(monkeypatch, KeyboardInterrupt())
    assert ended(monkeypatch, capsys, "evaluate", "x.pt") == (130, [])


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["compare"], ["compare", "--nothing"], ["bench", "metrics", "a", "b", "c"], ["retrain"],
     ["retrain", "--resume", "x", "--seconds", "9"], ["retrain", "--run", "x", "--resume", "y"]],
)  # fmt: skip
def test_a_wrong_command_is_bad_input(monkeypatch, capsys, arguments):
    assert ended(monkeypatch, capsys, *arguments)[0] == 2


def test_a_command_that_succeeds_ends_with_0(monkeypatch, capsys, runs):
    assert ended(monkeypatch, capsys, "compare", *runs) == (0, [])


def test_the_help_of_each_command_is_one_paragraph():
    """Typer keeps a docstring's line breaks, so that a wrapped one is shown in ragged lines."""
    commands = [*cli.app.registered_commands, *cli.bench.registered_commands]
    wrapped = [command.callback.__name__ for command in commands if "\n" in (command.callback.__doc__ or "").strip()]
    assert len(commands) > 12 and not wrapped
    shown = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    for command in cli.app.registered_commands:
        assert command.callback.__doc__ in shown


def test_what_files_say_does_not_steer_the_terminal(tmp_path):
    """Escape sequences change the title and the clipboard; emoji codes and markup are nobody's."""
    steering = "\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\r:warning: [bold]x[/]"
    for model in ("cnn", "resnet18"):
        run = made_run(model=model)
        save_run(replace(run, meta=run.meta | {"device": steering}), tmp_path / f"{model}.npz")
    done = cifarcore("compare", *sorted(tmp_path.glob("*.npz")), "--out", tmp_path / "summary.txt")
    assert done.returncode == 0 and ":warning: [bold]x[/]" in done.stdout
    assert not {"\x1b", "\x07", "\r"} & set(done.stdout + (tmp_path / "summary.txt").read_text())
    done = cifarcore("compare", tmp_path / "\x1b[2Jno.npz")
    assert done.returncode == 2 and "\x1b" not in done.stderr and len(done.stderr.splitlines()) == 1


NOBODY = ("unshare", "--user", "--map-user=54321")  #: a user of whom no home is known


def test_a_user_without_a_home_gets_a_report(runs, tmp_path):
    if shutil.which("unshare") is None or subprocess.run([*NOBODY, "true"], capture_output=True).returncode:
        pytest.skip("needs a user namespace: run on Linux with util-linux where unshare --user is allowed")
    known = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "report.html"
    done = subprocess.run(
        [*NOBODY, sys.executable, "-m", "cifarcore", "compare", *map(str, runs), "--html", str(out)],
        env=known | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "</html>" in out.read_text(encoding="utf-8") and (tmp_path / "tmp" / "cifarcore-54321").is_dir()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_ends_no_command(closed):
    code = f"""import sys
sys.{closed} = None
sys.argv[1:] = ["compare", "--help"]
from cifarcore.cli.main import main
main()"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr

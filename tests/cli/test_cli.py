"""The command line end to end on the synthetic set, in one process where that will do."""

import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from made import made_run
from processes import ROOT, cifarcore, invoke
from typer.testing import CliRunner

from cifarcore.cli import main as cli
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import load_run, save_run
from cifarcore.training import evaluation, loop, projection

SMALL = [
    "--dataset",
    "synthetic",
    "--validation-size",
    "200",
    "--widths",
    "8,8,8",
    "--hidden",
    "16",
    "--epochs",
    "1",
    "--threads",
    "1",
]


def test_each_training_that_the_guide_names_is_one(monkeypatch, tmp_path):
    guide = (ROOT / ".github" / "docs" / "training.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?<!-m )cifarcore train (--model [^`#\n]+)", guide)
    trained = []

    def keep(config, *_, **__):
        trained.append(config)
        return tmp_path

    monkeypatch.setattr(loop, "fit", keep)
    for line in lines:
        invoke("train", *line.split(), "--dataset", "synthetic")
    assert len(trained) == len(lines) > 6 and len({config.name for config in trained}) == len(lines)


def test_train_evaluate_project_compare(tmp_path):
    for seed in (0, 1):
        invoke("train", "--model", "cnn", "--seed", seed, "--folder", tmp_path, *SMALL)
    invoke("train", "--model", "cnn", "--name", "wide", "--folder", tmp_path, *SMALL, "--hidden", "24")
    checkpoints = sorted(tmp_path.glob("*.pt"))
    assert [path.name for path in checkpoints] == ["cnn-quick-0.pt", "cnn-quick-1.pt", "cnn-wide-0.pt"]
    invoke("evaluate", *checkpoints)
    runs = [path.with_suffix(".npz") for path in checkpoints]
    invoke("project", runs[0], runs[2])
    first, third = load_run(runs[0]), load_run(runs[2])
    assert (
        first.tsne.shape == (1000, 2) and third.umap.shape == (1000, 2) and third.train_neighbor_ids.shape == (1000, 5)
    )
    assert first.meta["map_source"] == "features" and third.meta["config"]["hidden"] == 24
    printed = invoke("compare", *runs, "--out", tmp_path / "summary.txt")
    text = (tmp_path / "summary.txt").read_text()
    assert "cnn-quick" in text and "cnn-wide" in text and "0.5803" not in text and text.strip() in printed
    printed = invoke("compare", *runs, "--html", tmp_path / "page.html")
    assert text.strip() in printed and printed.endswith(f"wrote {tmp_path / 'page.html'}\n")
    assert not list(tmp_path.glob("compare_summary*"))  # nothing is written unasked
    accuracy = np.mean([load_run(path).correct.mean() for path in runs[:2]])
    assert f"{accuracy:.4f}" in text


def test_the_drawn_set_needs_no_other_setting(tmp_path):
    tmp_path = tmp_path / "mine [old]"
    short = ("--epochs", "1", "--widths", "8,8,8", "--hidden", "16", "--folder", tmp_path)
    invoke("train", "--model", "cnn", "--dataset", "synthetic", *short)
    torch.save({"optimizer": {}}, tmp_path / "cnn-later-0.resume.pt")
    with pytest.raises(CifarcoreError, match="not finished; repeat its command with --resume"):
        invoke("evaluate", *sorted(tmp_path.glob("*.pt")))
    assert f"wrote {tmp_path / 'cnn-quick-0.npz'}: test" in invoke("evaluate", tmp_path / "cnn-quick-0.pt")
    assert len(load_run(tmp_path / "cnn-quick-0.npz").val_labels) == 500


def test_every_config_field_is_a_flag():
    from dataclasses import fields

    from cifarcore.config import TrainConfig

    shown = CliRunner().invoke(cli.app, ["train", "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    for item in fields(TrainConfig):
        assert f"--{item.name.replace('_', '-')}" in shown


def test_brackets_in_a_help_text_are_shown():
    shown = CliRunner().invoke(cli.app, ["compare", "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    assert "“recall[otter] >= 0”" in shown


def test_no_data_and_no_network_is_one_line_in_time(tmp_path):
    started = time.monotonic()
    # a proxy that refuses at once stands for a machine without a network
    result = cifarcore(
        "data", "--data", tmp_path / "empty", https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    )
    assert result.returncode in (1, 2) and time.monotonic() - started < 60
    assert len(result.stderr.strip().splitlines()) == 1 and "Traceback" not in result.stderr
    for way in ("download", "--data", "CIFARCORE_DATA", "synthetic"):
        assert way in result.stderr


def test_maps_are_not_written_over_a_run_that_took_the_place_meanwhile(tmp_path, monkeypatch, capsys):
    path = save_run(made_run(maps=False), tmp_path / "cnn.npz")

    def slow(run, *_, **__):
        save_run(made_run(maps=False, accuracy=0.9), path)
        return run

    monkeypatch.setattr(projection, "project", slow)
    monkeypatch.setattr(sys, "argv", ["cifarcore", "project", str(path)])
    with pytest.raises(SystemExit):
        cli.main()
    assert "was replaced while its maps were drawn; project it again" in capsys.readouterr().err
    assert load_run(path).correct.mean() > 0.8


def test_a_run_to_align_to_is_missed_before_anything_is_computed(tmp_path, monkeypatch, capsys):
    path = save_run(made_run(maps=False), tmp_path / "cnn.npz")
    monkeypatch.setattr(evaluation, "features_of", lambda *_: pytest.fail("computed"))
    monkeypatch.setattr(sys, "argv", ["cifarcore", "project", str(path), "--align-to", str(tmp_path / "none.npz")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2 and "none.npz: no such file" in capsys.readouterr().err


def test_bad_input_is_status_2_and_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "broken.pt").write_bytes(b"PK")
    torch.save({"format": 1}, tmp_path / "half.pt")
    for arguments in (
        ["compare", tmp_path / "broken.npz"],
        ["compare", tmp_path / "none.npz"],
        ["evaluate", tmp_path / "broken.pt"],
        ["evaluate", tmp_path / "half.pt"],
        ["project", tmp_path / "broken.npz"],
        ["properties", "."],
        ["train", "--model", "vgg"],
        ["train", "--model", "cnn", "--widths", "a,b"],
    ):
        monkeypatch.setattr(sys, "argv", ["cifarcore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        error = capsys.readouterr().err.strip()
        assert ended.value.code == 2 and len(error.splitlines()) == 1 and error.startswith("cifarcore: "), arguments


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal: run on Linux or macOS")
def test_a_second_stop_while_the_interpreter_shuts_down_prints_no_traceback():
    code = """
import atexit, os, runpy, signal, sys
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["cifarcore", "--help"]
runpy.run_module("cifarcore", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "Usage" in done.stdout and done.stderr == ""


def test_commands_without_torch_start_without_it():
    code = "import sys, cifarcore.cli.main; assert not {'torch', 'umap', 'sklearn', 'streamlit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

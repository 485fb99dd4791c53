"""The house stands as it is drawn: imports run one way, and the app's process knows no torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

MOST_LINES = 300
MODULES = sorted((ROOT / "cifarcore").rglob("*.py"))
#: what the browser runs, which ruff does not read
DRAWN = sorted((ROOT / "cifarcore" / "app" / "parts").glob("*.[jc]s*"))


def contracts(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder), "PATH": ""}, capture_output=True, text=True, timeout=300
    )


def test_imports_run_one_way():
    done = contracts(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("data/synthetic.py", "from cifarcore.runs import run"),
        ("evidence/metrics.py", "import torch"),
        ("reports/summary.py", "from cifarcore.app import catalog"),
        ("app/view.py", "from cifarcore.training import evaluation"),
        ("experiments/study.py", "from cifarcore.cli import main"),
        ("runs/layout.py", "from cifarcore.runs import archive"),
        ("reports/tables/ranking.py", "from cifarcore.reports.charts import style"),
        ("retraining/folders.py", "import torch"),
        ("elsewhere.py", "import json"),  # a module that has no place in the order
    ],
)
def test_an_import_against_the_order_is_noticed(tmp_path, module, line):
    shutil.copytree(ROOT / "cifarcore", tmp_path / "cifarcore", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "cifarcore" / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = contracts(tmp_path)
    assert done.returncode == 1 and "BROKEN" in done.stdout


def test_the_app_imports_no_torch():
    code = (
        "import sys, importlib, pkgutil, cifarcore.app as app\n"
        "for module in pkgutil.walk_packages(app.__path__, 'cifarcore.app.'): importlib.import_module(module.name)\n"
        "assert not {'torch', 'torchvision', 'umap', 'numba'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
def test_scripts_and_styles_can_be_read_in_one_sitting(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES and max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_can_be_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    head = text.split('"""')[1] if text.startswith('"""') else ""
    assert len(head.splitlines()) <= 4, "a head is three lines"

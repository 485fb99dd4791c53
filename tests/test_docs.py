"""README and the pages in .github: every link, path, command and Python name in them exists, and their examples run."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from pictures import draw
from processes import ROOT

import cifarcore
from cifarcore.cli.main import app

PAGES = [ROOT / "README.md", *sorted((ROOT / ".github").rglob("*.md"))]
PUBLISHED = ("cifarcore/", "tests/", "checkpoints/", ".github/", ".ci/")
UsageError = typer.BadParameter.__base__
#: what a reader makes by following the pages, which is therefore not in the repository
MADE = {
    "checkpoints/imported/",
    "checkpoints/retrained/",
    "checkpoints/imported/other.npz",
    "checkpoints/imported/old-0.npz",
    "checkpoints/imported/new-0.npz",
    "checkpoints/mine.npz",
    "checkpoints/resnet18-best-0.pt",
}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
#: wording that a reader had to learn first
JARGON = re.compile(
    r"taken for|false discover|not claimed|not distinguishable|byte for byte|also in training|four-way|recall gained|"
    r"gained recall|tell apart|least and greatest|cannot be told|could not be had|\bpasses\b|\d %|trained? it anew|"
    r"large_omnivores|\bclash\b|stands? in \[|sure of it|hangs on|vary no more \(|seeds vary no more\b",
    re.IGNORECASE,
)

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def spans(text: str) -> list[str]:
    """Inline code outside the blocks."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))


def commands(text: str) -> list[list[str]]:
    """The arguments of each `cifarcore COMMAND ...` in code, inline or in a block, without the shell around it."""
    lines = [line for _, kind, block in BLOCK.findall(text) if kind != "python" for line in block.splitlines()]
    given = []
    for line in [*spans(text), *lines]:
        if match := re.search(r"(?:^|\s)cifarcore ([a-z].*)", line):
            words = re.sub(r"\$\{[^}]*\}", "", match[1]).replace("$model", "cnn").replace("$seed", "0")
            given.append(shlex.split(words, comments=True))
    return given


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def strings(module: Path) -> list[str]:
    """What a module says to a user: its strings but docstrings, a pair of braces for what is filled in."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            texts.append(node.value)
    return texts


def parse(words: list[str]) -> None:
    """Parse a command line as `cifarcore` does, without running it. UsageError or KeyError where it is wrong."""
    command = typer.main.get_command(app)
    name = ""
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    if words and words != ["--help"]:  # a bare name refers to the command
        command.make_context(name, list(words))


@page
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text))
    for target in targets:
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


@page
def test_paths_exist(path):
    text = path.read_text(encoding="utf-8")
    words = {word for given in commands(text) for word in given} | set(spans(text))
    for word in words:
        if word.startswith(PUBLISHED) and " " not in word and word not in MADE:
            assert list(ROOT.glob(word)), word


@page
def test_commands_parse(path):
    for words in commands(path.read_text(encoding="utf-8")):
        parse(words)


@pytest.mark.parametrize(
    "line", ["compare a.npz --page b.html", "train --preset quick", "retrain --seconds soon", "bench speed", "judge"]
)
def test_a_wrong_command_is_noticed(line):
    with pytest.raises((UsageError, KeyError)):
        parse(line.split())


def test_the_pages_name_every_command():
    named = {given[0] for path in PAGES for given in commands(path.read_text(encoding="utf-8"))}
    assert named >= {*typer.main.get_command(app).commands}


@page
def test_python_names_exist(path):
    for span in spans(path.read_text(encoding="utf-8")):
        if re.fullmatch(r"cifarcore(\.\w+)+", span):
            module, name = span.rsplit(".", 1)
            home = module
            while True:
                try:
                    value = importlib.import_module(home)
                    break
                except ModuleNotFoundError:
                    home = home.rsplit(".", 1)[0]
            for part in [*module[len(home) + 1 :].split("."), name]:
                value = getattr(value, part) if part else value


@page
def test_the_words_are_the_fields(path):
    text = re.sub(r"<!-- (\w+):.*?<!-- /\1 -->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not JARGON.findall(text)


def test_the_words_of_the_code_are_the_fields():
    modules = {path: strings(path) for path in (ROOT / "cifarcore").rglob("*.py")}
    del modules[ROOT / "cifarcore" / "app" / "addresses.py"]  # what earlier versions called things
    texts = {path.name: [text for text in of if JARGON.search(text) and " " in text] for path, of in modules.items()}
    assert not {name: found for name, found in texts.items() if found}


@pytest.mark.parametrize("name", ["README.md", ".github/docs/evidence.md"])
def test_the_python_examples_run(name, tmp_path, monkeypatch):
    examples = [
        block for _, kind, block in BLOCK.findall((ROOT / name).read_text(encoding="utf-8")) if kind == "python"
    ]
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    assert examples
    for example in examples:
        values: dict = {}
        exec(example, values)
        assert values["result"].better == "B"
    assert (tmp_path / "report.html").exists() or (tmp_path / "comparison.json").exists()


def test_the_citation_and_the_changelog_have_the_packages_version():
    citation = yaml.safe_load((ROOT / ".github" / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == cifarcore.__version__ and citation["title"] == "cifarcore"
    assert {"cff-version", "message", "authors", "license"} <= citation.keys()
    changelog = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ([\d.]+)", changelog, re.MULTILINE)[1] == cifarcore.__version__


def test_the_libraries_that_numbers_are_checked_with_are_used_there():
    text = (ROOT / ".github" / "docs" / "evidence.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if "`tests/" in line]
    assert len(rows) > 15
    packages = {"scikit-learn": "sklearn", "SciPy": "scipy", "statsmodels": "statsmodels", "NumPy": "numpy"}
    for number, means, files in rows:
        sources = [(ROOT / path).read_text(encoding="utf-8") for path in re.findall(r"`(tests/[^`]+)`", files)]
        for library in re.findall("|".join(packages), means):
            pattern = rf"^(from|import) {packages[library]}\b"
            assert any(re.search(pattern, source, re.MULTILINE) for source in sources), (number, library)


def test_the_readme_is_a_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    for wanted in ("streamlit run streamlit_app.py", "pytest"):  # as .ci/run looks for them
        assert re.search(rf"^python3 -m venv .*{wanted}", text, re.MULTILINE)


def test_the_readmes_way_from_two_models_of_ones_own_to_a_comparison_works(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(block for block in text.split("```") if "cifarcore import old.csv" in block)
    made = draw(tmp_path / "my_test_set", {name: [f"{i}.png" for i in range(20)] for name in ("cat", "dog", "horse")})
    for name, noise in (("old", 0.9), ("new", 0.3)):
        scores = (1 - noise) * np.eye(3)[made.labels] + noise * made.probabilities[::-1]
        table = pd.DataFrame({"file": made.files} | dict(zip(made.names, scores.T, strict=True)))
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    *commands, app = [line for line in block.splitlines() if line.startswith("cifarcore ")]
    assert len(commands) == 3 and app == "cifarcore app", "the app opens the folder that the runs were written to"
    environment = {name: value for name, value in os.environ.items() if name != "CIFARCORE_RUNS"}
    for command in commands:
        line = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(
            line, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "new (B) correctly classifies" in (tmp_path / "summary.txt").read_text(encoding="utf-8")

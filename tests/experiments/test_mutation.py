"""Faults are planted one at a time, and a test run on each says whether it was noticed."""

import ast
import itertools
from collections import Counter
from types import SimpleNamespace

import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.experiments import mutation

MODULE = '''"""A sum, and what nobody looks at."""


def total(values: list[int | None], only_a: int = 0) -> int:
    if not values:
        return only_a
    return values[0] + total(values[1:], only_a)


def unwatched(a, b):
    return max(a, b) >= 1 and True
'''


def afters(path, text):
    path.write_text(text)
    return Counter(mutant.after for mutant in mutation.mutants(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < c", ["b", "a <= c", "a > c"]),
        ("x and y", ["x or y"]),
        ("x - y", ["x + y"]),
        ("-x", ["x"]),
        ("~x & y", ["~x | y", "x"]),
        ("not x", ["x"]),
        ("3", ["4", "2"]),
        ("True", ["False"]),
        ("f(x, y)", ["f(y, x)"]),
        ("np.maximum(x, y)", []),
        ("zip(x, strict=True)", []),
        ("x[:n]", ["n:"]),
        ("y if x else z", ["z if x else y"]),
        ("r.only_a", ["r.only_b"]),
        ("'A'", ["'B'"]),
        ("'a word'", []),
        ("x: int | None = y", []),
        ("if x: y", ["if not x: y"]),
        ("x += y", ["x -= y"]),
    ],
)
def test_each_kind_of_fault(tmp_path, text, expected):
    assert afters(tmp_path / "m.py", text) == Counter(expected)


def test_a_mutant_is_the_module_with_one_change(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(MODULE)
    for mutant in mutation.mutants(path):
        changed = [
            (one, other)
            for one, other in zip(mutant.source.splitlines(), ast.unparse(ast.parse(MODULE)).splitlines(), strict=True)
            if one != other
        ]
        assert len(changed) == 1, mutant
        compile(mutant.source, "m.py", "exec")


@pytest.fixture
def project(tmp_path):
    """A project with a wing, its tests still to be written."""
    for folder in ("cifarcore/wing", "tests/wing", ".github/docs", "checkpoints"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".github" / "docs" / "sums.md").write_text("3")
    (tmp_path / "pyproject.toml").touch()
    for file in ("cifarcore/__init__.py", "cifarcore/wing/__init__.py"):
        (tmp_path / file).touch()
    return tmp_path


def test_what_no_test_looks_at_survives(project):
    tmp_path = project
    source = "def total(x, y):\n    return x + y\n\n\ndef unwatched(x):\n    return x >= 1\n"
    (tmp_path / "cifarcore" / "wing" / "sums.py").write_text(source)
    test = tmp_path / "tests" / "wing" / "test_sums.py"
    test.write_text(
        "from pathlib import Path\n\nfrom cifarcore.wing.sums import total\n\n\ndef test_total():\n"
        "    assert total(1, 2) == int((Path(__file__).parents[2] / '.github' / 'docs' / 'sums.md').read_text())\n"
    )
    found = {mutant.after: result for mutant, result in mutation.survivors(tmp_path, "wing", 100, 0, 60)}
    alive = dict.fromkeys(("x > 1", "x <= 1", "2", "0"), mutation.SURVIVED)
    assert found == {"x - y": mutation.KILLED} | alive
    assert (tmp_path / "cifarcore" / "wing" / "sums.py").read_text() == source
    test.write_text("import time\n\n\ndef test_slow():\n    time.sleep(60)\n")
    assert mutation.outcome(tmp_path, test, 1) == mutation.TIMED_OUT
    (tmp_path / "checkpoints" / "run.npz").touch()
    test.write_text(
        "from pathlib import Path\n\n\ndef test_bundled():\n    assert Path('checkpoints/run.npz').exists()\n"
    )
    assert {result for _, result in mutation.survivors(tmp_path, "wing", 1, 0, 60)} == {mutation.SURVIVED}
    test.write_text("def test_broken():\n    assert False\n")
    with pytest.raises(CifarcoreError, match="test_sums.py fails as it is"):
        next(mutation.survivors(tmp_path, "wing", 1, 0, 1))
    with pytest.raises(CifarcoreError, match="no cifarcore/other"):
        next(mutation.survivors(tmp_path, "other", 1, 0, 60))


def test_only_test_files_that_reach_a_fault_are_tried_and_the_one_that_noticed_the_last_comes_first(
    project, monkeypatch
):
    (project / "cifarcore" / "wing" / "sums.py").write_text(
        '"""Sums."""\n\n\n'
        "def total(x, y):\n    return x + y\n\n\ndef product(x, y):\n    return x * y\n\n\n"
        "def unused(x):\n    return x > 1\n"
    )
    tried = project / "tried"
    for name, code in (
        ("a", "from cifarcore.wing.sums import product\n\n\ndef test_product():\n    assert product(0, 1) == 0\n"),
        ("b", "from cifarcore.wing.sums import total\n\n\ndef test_total():\n    assert total(1, 2) == 3\n"),
        ("c", "import subprocess\nimport sys\n\n\ndef test_process():\n    code = 'from cifarcore.wing.sums import *; "
              "assert product(2, 3) + total(0, 0) == 6'\n"
              "    subprocess.run([sys.executable, '-c', code], check=True)\n"),
    ):  # fmt: skip
        log = f"with open({str(tried)!r}, 'a') as file:\n    file.write({name!r})\n"
        (project / "tests" / "wing" / f"test_{name}.py").write_text(code + "\n\n" + log)
    monkeypatch.setattr(mutation, "time", SimpleNamespace(monotonic=itertools.count().__next__))  # all equally quick
    results = []
    for mutant, result in mutation.survivors(project, "wing", 100, 0, 60):
        results.append((mutant.after, result, tried.read_text()))
        tried.write_text("")
    assert results[:2] == [("x - y", mutation.KILLED, "abcb"), ("x / y", mutation.KILLED, "ac")]
    assert sorted(results[2:]) == [(after, mutation.SURVIVED, "c") for after in ("0", "2", "x < 1", "x >= 1")]


def test_a_quick_test_file_is_tried_before_a_slow_one(project, monkeypatch):
    (project / "cifarcore" / "wing" / "sums.py").write_text("def total(x, y):\n    return x + y\n")
    tried = project / "tried"
    for name in "ab":
        (project / "tests" / "wing" / f"test_{name}.py").write_text(
            "from cifarcore.wing.sums import total\n\n\ndef test_total():\n    assert total(1, 2) == 3\n\n\n"
            f"with open({str(tried)!r}, 'a') as file:\n    file.write({name!r})\n"
        )
    monkeypatch.setattr(mutation, "time", SimpleNamespace(monotonic=iter([0, 9, 9, 10]).__next__))
    ((_, result),) = mutation.survivors(project, "wing", 1, 0, 60)
    assert (result, tried.read_text()) == (mutation.KILLED, "abb")

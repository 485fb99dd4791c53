"""What `import cifarcore` offers: quickly, typed, and with examples that are true."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import cifarcore

PACKAGE = Path(cifarcore.__file__).parent
PUBLIC = ("runs.run", "runs.arrays", "runs.alignment", "data.ids", "reports.result")


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, cifarcore; cifarcore.CifarcoreError; dir(cifarcore); "
        "heavy = {'numpy', 'pandas', 'scipy', 'sklearn', 'torch', 'streamlit', 'altair', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_offered_is_there():
    for name in cifarcore.__all__:
        assert getattr(cifarcore, name).__name__ == name and name in dir(cifarcore)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        cifarcore.other  # noqa: B018


@pytest.mark.parametrize("module", PUBLIC)
def test_the_examples_are_true(module):
    result = doctest.testmod(importlib.import_module(f"cifarcore.{module}"))
    assert result.failed == 0 and (result.attempted > 0 or module in ("runs.arrays", "runs.alignment"))


def test_the_types_are_sound(monkeypatch):
    api = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install -e '.[test]'")
    monkeypatch.chdir(PACKAGE.parent)
    out, problems, status = api.run(["--config-file", str(PACKAGE.parent / "pyproject.toml")])
    assert status == 0, out + problems
    assert (PACKAGE / "py.typed").exists()

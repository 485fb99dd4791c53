"""The fuzz in short: every reader of something that others write, in a process of its own under a limit of memory."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from targets import TARGETS

FUZZ = Path(__file__).with_name("fuzz.py")
CASES = {"pages": 3, "checkpoints": 150, "columnar": 200}


def fuzz(*arguments) -> str:
    command = [sys.executable, str(FUZZ), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("what", TARGETS)
def test_hostile_input_is_read_or_refused_in_one_line(what, tmp_path):
    cases = CASES.get(what, 400)
    said = fuzz("--what", what, "--cases", cases, "--counts", tmp_path / "counts.json")
    assert said.startswith(f"{what}: {cases} cases in ") and said.endswith("no other exception")
    counts = json.loads((tmp_path / "counts.json").read_text(encoding="utf-8"))[what]
    assert sum(counts.values()) == cases and (what == "pages" or len(counts) > 1), "the damage is noticed"


def test_the_long_fuzz_goes_on_from_its_counts(tmp_path):
    counts = tmp_path / "counts.json"
    fuzz("--what", "addresses", "--cases", 30, "--counts", counts)
    assert fuzz("--what", "addresses", "--cases", 50, "--counts", counts).startswith("addresses: 50 cases")
    together = json.loads(counts.read_text(encoding="utf-8"))["addresses"]
    fuzz("--what", "addresses", "--cases", 50, "--counts", tmp_path / "at-once.json")
    assert json.loads((tmp_path / "at-once.json").read_text(encoding="utf-8"))["addresses"] == together


def test_a_case_that_breaks_a_reader_is_said(tmp_path):
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import fuzz, targets
def broken(folder):
    def attempt(draw):
        raise KeyError("left")
    return attempt
targets.TARGETS["broken"] = broken
sys.argv = ["fuzz.py", "--what", "broken", "--cases", "5"]
fuzz.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode and "case 0 of broken, seed 0, breaks it" in done.stdout and "KeyError" in done.stderr


def test_coverage_leads_the_cases_of_run_files():
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install -e '.[fuzz]'")
    assert fuzz("--engine", "atheris", "--cases", 200).startswith("runs: 200 cases")

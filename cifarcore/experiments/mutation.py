"""How many single faults in a wing its own tests notice: `python -m cifarcore.experiments.mutation evidence`.

Not part of the tests. Own code, because mutmut passes over decorated functions and constants and draws no sample.
"""

import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from cifarcore.errors import CifarcoreError

ROOT = Path(__file__).parents[2]
#: imported once, before a process is forked for each mutant: most of the time that a short test run takes
PRELOADED = (
    *(
        "pytest",
        "pandas",
        "scipy.stats",
        "sklearn.metrics",
        "streamlit.testing.v1",
        "altair",
        "hypothesis",
        "PIL.Image",
    ),
    *("statsmodels.stats.proportion", "statsmodels.stats.multitest", "statsmodels.stats.contingency_tables"),
)
PYTEST = (*"-x -q -p no:cacheprovider -p no:faulthandler -o addopts=--import-mode=importlib -m".split(), "not slow")
_NO_TESTS = 5  #: pytest's exit status where it has run none
KILLED, SURVIVED, TIMED_OUT = "killed", "SURVIVED", "killed by the time limit"

_OTHER_OPERATORS = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.Mult,), ast.MatMult: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.BitXor: (ast.BitAnd,),
}  # fmt: skip
_OTHER_MODEL = {"a": "b", "b": "a", "A": "B", "B": "A"}
_SYMMETRIC = ("max", "min", "maximum", "minimum")  #: functions whose arguments may change places


@dataclass(frozen=True)
class Mutant:
    """One changed expression of a module."""

    module: Path
    line: int
    before: str
    after: str
    source: str  #: the whole module with it

    def __str__(self) -> str:
        return f"{self.module.name}:{self.line}: {self.before}  ->  {self.after}"


def mutants(path: Path) -> list[Mutant]:
    """Every single fault that this module knows how to plant in the module at `path`; type annotations are left out."""
    tree, made = ast.parse(path.read_text(encoding="utf-8")), []
    for holder, key, node in _places(tree):
        for other in _faults(node):
            holder[key] = other
            before, after = (" ".join(ast.unparse(each).split())[:110] for each in (node, other))
            if before != after:
                made.append(Mutant(path, node.lineno, before, after, ast.unparse(tree)))
        holder[key] = node
    return made


def _places(node: ast.AST) -> Iterator[tuple[Any, str | int, ast.AST]]:
    """Each expression and statement below `node`, with the list or the fields that hold it, and where in them."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "names") or getattr(node, "arg", "") == "strict":
            continue
        holder, children = (value, enumerate(value)) if isinstance(value, list) else (vars(node), [(name, value)])
        for key, child in children:
            if isinstance(child, ast.expr | ast.stmt):
                yield holder, key, child
            if isinstance(child, ast.AST):
                yield from _places(child)


def _faults(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of `node` instead."""

    def changed(**fields: object) -> ast.AST:
        other = deepcopy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            yield from (changed(op=other()) for other in _OTHER_OPERATORS.get(type(op), ()))
        case ast.Compare(ops=[op]):
            yield from (changed(ops=[other()]) for other in _OTHER_OPERATORS[type(op)])
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield changed(value=not value)
        case ast.Constant(value=int() | float() as value):
            yield from (changed(value=value + step) for step in (1, -1))
        case ast.Constant(value=str(value)) if value in _OTHER_MODEL:
            yield changed(value=_OTHER_MODEL[value])
        case ast.Name(id=name, ctx=ast.Load()) if _of_other_model(name):
            yield changed(id=_of_other_model(name))
        case ast.Attribute(attr=name, ctx=ast.Load()) if _of_other_model(name):
            yield changed(attr=_of_other_model(name))
        case ast.Call(func=func, args=[first, second, *rest]) if not ast.unparse(func).endswith(_SYMMETRIC):
            yield changed(args=[second, first, *rest])
        case ast.Slice(lower=lower, upper=upper) if lower or upper:
            yield changed(lower=upper, upper=lower)
        case ast.IfExp(body=body, orelse=orelse):
            yield changed(body=orelse, orelse=body)
        case ast.If(test=test) | ast.While(test=test):
            yield changed(test=ast.UnaryOp(ast.Not(), test), body=node.body, orelse=node.orelse)


def _of_other_model(name: str) -> str:
    stem, underscore, model = name.rpartition("_")
    return stem + underscore + _OTHER_MODEL[model] if model in _OTHER_MODEL else ""


def outcome(copy: Path, test: Path, limit_s: int, calls: Path | None = None) -> str:
    """Whether a test of the file `test` fails in the project at `copy`: KILLED, SURVIVED or TIMED_OUT.

    What it calls is written to `calls`: file and first line of each function, as JSON; None where it starts a process.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(limit_s)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("cifarcore", "made")]:
            del sys.modules[name]
        os.chdir(copy)
        sys.path[:] = [str(copy), str(copy / "tests"), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading plugins takes longer than most tests
        sys.dont_write_bytecode = True  # two mutants within a second would be taken for one
        called = _watch_calls() if calls else set()
        try:
            status = int(import_module("pytest").main([*PYTEST, str(test)]))
        except BaseException:
            status = 1
        sys.settrace(None)
        if calls:
            calls.write_text(json.dumps(None if None in called else sorted(called)), encoding="utf-8")
        os._exit(0 if status == _NO_TESTS else status)
    _, status = os.waitpid(child, 0)
    return SURVIVED if status == 0 else TIMED_OUT if status == signal.SIGALRM else KILLED


def _watch_calls() -> set[tuple[str, int] | None]:
    """File and first line of each function called from now on, and None once a process is started."""
    called: set[tuple[str, int] | None] = set()

    def note(frame: FrameType, event: str, _: object) -> None:  # of calls alone, as it returns no tracer of lines
        called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    def note_process(event: str, _: object) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"):
            called.add(None)

    sys.addaudithook(note_process)
    threading.settrace(note)
    sys.settrace(note)
    return called


def _function_around(source: str, line: int) -> tuple[int, int] | None:
    """First and last line of the outermost function that `line` is in; None where it runs on import."""
    for node in ast.walk(ast.parse(source)):  # outer ones first
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= node.end_lineno:
            return min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.end_lineno
    return None


def survivors(root: Path, wing: str, sample: int, seed: int, limit_s: int) -> Iterator[tuple[Mutant, str]]:
    """A random `sample` of the mutants of `wing` in the project at `root`, each with its outcome.

    Each is tried with the test files that call the function that it is in: first the one that killed the module's
    mutant before, then tests/WING/test_MODULE.py and the others, the quickest first. Raises CifarcoreError where there
    is no such wing, or its tests fail without a fault.
    """
    modules = sorted((root / "cifarcore" / wing).rglob("*.py"))
    tests = [test.relative_to(root) for test in sorted((root / "tests" / wing).rglob("test_*.py"))]
    if not modules or not tests:
        raise CifarcoreError(f"there is no cifarcore/{wing} with tests in tests/{wing}; name one of the folders")
    every = [mutant for module in modules for mutant in mutants(module)]
    drawn = random.Random(seed).sample(every, min(sample, len(every)))
    for name in PRELOADED:
        import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copy, calls, seconds = Path(folder).resolve(), {}, {}
        for part in filter(Path.exists, (root / name for name in ("cifarcore", "tests", ".github"))):
            shutil.copytree(part, copy / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):  # tests hold its numbers
            if (root / name).exists():
                shutil.copy(root / name, copy)
        if (root / "checkpoints").exists():  # which tests read alone
            (copy / "checkpoints").symlink_to(root / "checkpoints")
        for test in tests:
            start = time.monotonic()
            if outcome(copy, test, limit_s, copy / "calls.json") != SURVIVED:
                raise CifarcoreError(f"{test} fails as it is; mend it first")
            seconds[test] = time.monotonic() - start
            calls[test] = json.loads((copy / "calls.json").read_text(encoding="utf-8"))
        module, ordered = None, tests
        for mutant in sorted(drawn, key=lambda mutant: (mutant.module, mutant.line)):
            if mutant.module != module:
                module = mutant.module
                ordered = sorted(tests, key=lambda test: (test.name != f"test_{module.name}", seconds[test]))
            target = copy / module.relative_to(root)
            original = target.read_text(encoding="utf-8")
            around = _function_around(original, mutant.line)
            target.write_text(mutant.source, encoding="utf-8")
            result = SURVIVED
            for test in ordered:
                if around and calls[test] is not None and not _reaches(calls[test], target, around):
                    continue
                result = outcome(copy, test, limit_s)
                if result != SURVIVED:
                    ordered = [test, *(other for other in ordered if other != test)]
                    break
            yield mutant, result
            target.write_text(original, encoding="utf-8")


def _reaches(called: list[tuple[str, int]], module: Path, around: tuple[int, int]) -> bool:
    return any(file == str(module) and around[0] <= line <= around[1] for file, line in called)


def main(
    wing: str = typer.Argument(help="A folder of cifarcore/, whose tests are in tests/ under its name."),
    sample: int = typer.Option(200, min=1, help="Mutants drawn at random."),
    seed: int = typer.Option(0, help="Of the draw."),
    limit: int = typer.Option(300, min=1, help="Seconds after which a mutant counts as killed."),
) -> None:
    """Print the mutants that survive or run out of time, then killed / drawn of each module."""
    counts: dict[str, Counter[bool]] = {}
    for mutant, result in survivors(ROOT, wing, sample, seed, limit):
        counts.setdefault(mutant.module.name, Counter())[result != SURVIVED] += 1
        if result != KILLED:
            print(f"{mutant}  ({result})", flush=True)
    for module, count in counts.items():
        print(f"{count[True]:4d} / {count.total():4d}  {module}")
    every = sum(counts.values(), Counter())
    print(f"{every[True]:4d} / {every.total():4d}  killed: {every[True] / every.total():.1%}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads do not survive a fork
    typer.run(main)

"""The long fuzz of every reader: `python tests/hostile/fuzz.py --cases 1000000 --counts counts.json`.

Each target (`targets.py`) has its share of the cases, in a process of its own under a limit of memory. `--counts` is
kept up to date and gone on from. `--engine atheris` has coverage lead the cases of run files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]
MIB = 1 << 20
LIMIT = 4096 * MIB  #: of address space, beyond what the process has before the first case
#: by which the process may grow: a picture of the most pixels is some hundred, tensors may be those of the largest run
MOST = {"pictures": 1024 * MIB, "checkpoints": 3072 * MIB}
MOST_ELSE = 400 * MIB
SECONDS = {"pages": 60.0}  #: of processor time that a case may take
SECONDS_ELSE = 5.0
BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of all targets together, earlier ones counted")
    parser.add_argument("--what", help="one target, of which these are the cases")
    parser.add_argument("--engine", choices=("atheris", "chance"), default="chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=Path, help="JSON file of what came out, which is gone on from")
    parser.add_argument("--corpus", type=Path, help="folder of atheris's corpus, kept for the next time")
    options = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(max(0, 15 - os.nice(0)))
    if options.engine == "atheris":
        led_by_coverage(options)
    elif options.what:
        one(options)
    else:
        each_in_turn(options)


def each_in_turn(options: argparse.Namespace) -> None:
    """Every target in a process of its own, some cases at a time, so that none waits for the end of another."""
    from targets import SHARES

    with tempfile.TemporaryDirectory() as folder:
        path = options.counts or Path(folder) / "counts.json"
        rounds = max(1, options.cases // 100_000)
        for turn in range(1, rounds + 1):
            for target, share in SHARES.items():
                wanted = round(options.cases * share * turn / rounds)
                command = [sys.executable, __file__, "--what", target.__name__, "--cases", str(wanted)]
                command += ["--seed", str(options.seed), "--counts", str(path)]
                done = subprocess.run(command, check=False)
                if done.returncode:
                    sys.exit(f"{target.__name__} ended with status {done.returncode}")
        report(read_counts(path), 0.0)


def one(options: argparse.Namespace) -> None:
    """The cases of one target, in this process."""
    from targets import cases

    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=shared if shared.is_dir() else None) as place:
        os.environ |= {"XDG_CACHE_HOME": place, "CIFARCORE_DATA": place, "CIFARCORE_RUNS": ""}
        known = read_counts(options.counts) if options.counts else {}
        counts = Counter(known.get(options.what, {}))
        began, target = time.monotonic(), cases(options.what, Path(place), options.seed, counts.total())
        limit = Limit(options.what)
        while counts.total() < options.cases:
            at = time.process_time()
            try:
                counts[next(target)] += 1
            except BaseException:
                print(f"case {counts.total()} of {options.what}, seed {options.seed}, breaks it", flush=True)
                raise
            limit.check(time.process_time() - at, counts.total() - 1)
            if options.counts and (counts.total() % BATCH == 0 or counts.total() >= options.cases):
                write_counts(options.counts, options.what, counts)
        report({options.what: counts}, time.monotonic() - began)


class Limit:
    """What a case may take: processor time, and memory beyond what was there before the first."""

    def __init__(self, what: str):
        self.seconds, self.most = SECONDS.get(what, SECONDS_ELSE), MOST.get(what, MOST_ELSE)
        self.before = 0

    def check(self, seconds: float, number: int) -> None:
        assert seconds < self.seconds or not number, f"case {number} takes {seconds:.1f} s"
        if sys.platform != "linux":
            return
        import resource

        import psutil

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if not self.before:  # all is imported and warm after the first case
            self.before = peak
            size = psutil.Process().memory_info().vms + LIMIT
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        assert peak - self.before < self.most, f"case {number}: {(peak - self.before) // MIB} MiB more"


def read_counts(path: Path) -> dict[str, dict[str, int]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_counts(path: Path, what: str, counts: Counter[str]) -> None:
    from cifarcore.files import atomic_write

    with atomic_write(path) as file:
        file.write(json.dumps(read_counts(path) | {what: counts}, ensure_ascii=False, indent=1).encode())


def report(counts: dict[str, dict[str, int]], seconds: float) -> None:
    for what, found in counts.items():
        total, accepted = (
            sum(found.values()),
            sum(n for name, n in found.items() if name.endswith(("accepted", "drawn"))),
        )
        print(
            f"{what}: {total:,} cases in {seconds:.0f} s, {accepted:,} accepted, {len(found)} outcomes, no other "
            "exception",
            flush=True,
        )
    if len(counts) > 1:
        print(f"{sum(sum(found.values()) for found in counts.values()):,} cases in all")


def led_by_coverage(options: argparse.Namespace) -> None:
    """Run files whose damage atheris chooses by the coverage of the loader, zipfile and NumPy's header reader."""
    import atheris

    with atheris.instrument_imports(include=["cifarcore", "zipfile", "numpy.lib"]):
        import cifarcore.runs.run  # noqa: F401
    from targets import runs

    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    attempt, counts, began = runs(place), Counter(), time.monotonic()

    class Fuzzed:
        def __init__(self, content: bytes):
            self.source = atheris.FuzzedDataProvider(content)

        def integer(self, low: int, high: int) -> int:
            return self.source.ConsumeIntInRange(low, high)

        def octets(self, most: int) -> bytes:
            return self.source.ConsumeBytes(self.source.ConsumeIntInRange(0, most))

    def case(content: bytes) -> None:
        at = time.process_time()
        counts[attempt(Fuzzed(content))] += 1
        assert time.process_time() - at < SECONDS_ELSE, "a small file may not take seconds"
        if counts.total() >= options.cases:
            report({"runs": counts}, time.monotonic() - began)
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
            sys.stdout.flush()
            os._exit(0)  # libFuzzer has no other end that lets Python speak

    arguments = ["-max_len=4096", "-rss_limit_mb=4096", f"-seed={options.seed + 1}", "-reduce_inputs=0"]
    if options.corpus:
        options.corpus.mkdir(parents=True, exist_ok=True)
        arguments.append(str(options.corpus))
    atheris.Setup([sys.argv[0], *arguments], case)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

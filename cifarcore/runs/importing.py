"""Anyone's model: predictions checked, and kept as a run file under `imported/`.

Knows no torch and no page: the command and the app's dialog call the same functions. What a file holds is read by
`formats`, and brought onto its test set by `matching`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from os.path import commonprefix
from pathlib import Path

from cifarcore.config import SEEDS, ImportConfig
from cifarcore.data.image_folder import read_pictures
from cifarcore.data.packs import is_pack
from cifarcore.errors import CifarcoreError, readable
from cifarcore.files import Version, atomic_write, check_plain, plain_name, refuse_changed, refuse_links, sole_writer
from cifarcore.runs.archive import is_run_file
from cifarcore.runs.formats import stem_of
from cifarcore.runs.matching import Checked, dataset_of, matched, now
from cifarcore.runs.metadata import read_metadata
from cifarcore.runs.notes import without_repeated
from cifarcore.runs.readers.tensors import INDICES, SCORES
from cifarcore.runs.run import Run, load_run, read_header, save_run
from cifarcore.runs.scores import KINDS
from cifarcore.runs.shards import read_together
from cifarcore.runs.test_sets import known_names, pack_path
from cifarcore.runs.understood import NOT_USED, summary_of_run
from cifarcore.text import quoted

FOLDER = "imported"
_SEED = re.compile(r"\d+")
_OF_SEED = re.compile(r"[-_. ]*((seed|run|fold)[-_. ]*)?\d*$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Imported:
    """A run that was written, and what its reader should know of how it came about, a sentence each."""

    run: Run
    path: Path
    notes: tuple[str, ...]


def run_name(source: str | Path, config: ImportConfig) -> str:
    """The name under which a run is kept: the model's, with preset and seed, else the file's; always a plain one."""
    parts = (config.model, config.preset, str(config.seed)) if config.model else (stem_of(source),)
    return plain_name("-".join(filter(None, parts)))


def imported_path(folder: str | Path, name: str) -> Path:
    """Where the imported run `name` lies below the folder of runs. Raises CifarcoreError for a name that is not
    plain, and where that place is a link.
    """
    check_plain(name)
    place = Path(folder) / FOLDER
    refuse_links(place, place / f"{name}.npz", pack_path(place / f"{name}.npz"))
    return Path(folder) / FOLDER / f"{name}.npz"


def check(sources: Sequence[str | Path], config: ImportConfig, data_folder: str | Path | None = None) -> list[Checked]:
    """Check predictions, or run files; nothing is written. Several files are one run, as the processes of a distributed
    run write it, or the seeds of one model, a run each, as `config.files` says.

    Raises CifarcoreError with one line that says what does not fit.
    """
    paths = list(map(Path, sources))
    paths = [path for path in paths if not _is_index(path, paths)]
    try:
        if len(paths) == 1 or config.files != SEEDS:
            return [_checked(paths, config, data_folder)]
        return [_checked([path], each, data_folder) for path, each in _seeds(paths, config)]
    except (CifarcoreError, OSError):
        raise
    except Exception as error:  # of what anybody wrote: no file should show a page of code
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CifarcoreError(f"{paths[0].name}: cannot be imported ({reason:.200}); write it as plain CSV") from error


def keep(
    checked: Checked,
    out: str | Path,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
    seen: Version | None = None,
) -> Imported:
    """Write what was checked as the run file `out`; pictures of a folder go beside it.

    Raises CifarcoreError where the run exists already, is another than the one `seen` that may be overwritten, or a
    picture cannot be read; then nothing is written.
    """
    out, run, test, notes = Path(out), checked.run, checked.test, list(checked.notes)
    run = replace(run, meta=run.meta | {"imported": {"file": readable(checked.source.name)[:200], "at": now()}})
    with sole_writer(out):
        refuse_existing(out, overwrite, checked.inputs)
        if out.exists():
            refuse_changed(out, seen)
        if test is None or test.folder is None:
            save_run(run, out)
            pack_path(out).unlink(missing_ok=True)  # of the run that this one replaces
        else:
            with atomic_write(pack_path(out)) as pack:  # takes its place when the run file has taken its own
                ids = read_pictures(test.folder, test.rows, pack, on_progress)
                run, repeated = without_repeated(replace(run, sample_ids=ids))
                run = replace(run, meta=run.meta | {"dataset": dataset_of(test.name, run)})
                notes += repeated
                save_run(run, out)
    unused = checked.summary.get(NOT_USED, "nothing")
    notes += [f"not used: {unused}"] * (unused != "nothing")
    return Imported(load_run(out), out, tuple(notes))


def refuse_existing(out: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raises CifarcoreError where the run file `out`, or the pictures beside it, would take the place of one of the
    `inputs`, of what may not be replaced unless `overwrite`, or of an archive of other things.
    """
    pack = pack_path(out)
    if read := next((path for path in (out, pack) if any(_is_same(path, each) for each in inputs)), None):
        raise CifarcoreError(f"{read}: is one of the files that are read; choose another name")
    if out.exists() and not overwrite:
        raise CifarcoreError(f"{out}: the run exists already; choose another name, or use --overwrite")
    if pack.exists() and not is_pack(pack):
        raise CifarcoreError(
            f"{pack}: holds no pictures of a run, which are kept under this name; choose another, or move it away"
        )
    if pack.exists() and not overwrite:
        raise CifarcoreError(f"{pack}: the pictures of a run exist already; choose another name, or use --overwrite")


def refuse_other_model(out: Path, checked: Checked) -> None:
    """Raises CifarcoreError where `out`, found by name alone, holds another model, preset or seed: plain names of
    "A+" and "A" are one, which who overwrites his own run need not know.
    """
    try:
        there = read_header(out).meta
    except (CifarcoreError, FileNotFoundError):  # nothing that names a model would be lost
        return
    old, new = ([str(meta.get(key) or "") for key in ("model", "preset", "seed")] for meta in (there, checked.run.meta))
    if old != new:
        theirs, ours = (quoted("-".join(filter(None, said)) or "no model") for said in (old, new))
        raise CifarcoreError(
            f"{out}: is the run of {theirs}, not of {ours}; choose another --model, or name the file with --out"
        )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def import_file(
    source: str | Path | Sequence[Path],
    out: str | Path,
    config: ImportConfig,
    data_folder: str | Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Check predictions of one run, in one file or several, or a run file, and keep them as the run file `out`.

    Raises CifarcoreError with one line that says what does not fit; then nothing is written.
    """
    sources = [source] if isinstance(source, str | Path) else source
    (checked,) = check(sources, config, data_folder)
    return keep(checked, out, overwrite)


def delete(folder: str | Path, name: str, seen: Version | None = None) -> None:
    """Remove the imported run `name` with its pictures. Raises CifarcoreError where there is none, and where it is not
    the file that was `seen`.
    """
    path = imported_path(folder, name)
    try:
        with sole_writer(path):  # not while it is imported anew
            if path.exists():
                refuse_changed(path, seen)
            path.unlink()
            if is_pack(pack_path(path)):  # somebody's own archive stays
                pack_path(path).unlink()
    except FileNotFoundError:
        raise CifarcoreError(f"{name}: no such imported run") from None
    except OSError as error:
        raise CifarcoreError(f"{name}: cannot be deleted ({error.strerror})") from None


def _checked(paths: Sequence[Path], config: ImportConfig, data_folder: str | Path | None) -> Checked:
    """The run of one or more files."""
    if len(paths) == 1 and is_run_file(paths[0]):
        checked = _of_run_file(paths[0], config)
    else:
        if whole := next((path for path in paths if is_run_file(path)), None):
            raise CifarcoreError(
                f"{whole.name}: is a run file, and no part of a run; import each alone, or give --files seeds"
            )
        kind = config.scores if config.scores in KINDS else ""
        checked = matched(read_together(paths, known_names(config), kind), config, data_folder)
    named = (config.like, config.labels, config.class_names, config.superclasses, config.metadata)
    inputs = (*paths, *(path for each in named if each and (path := Path(each)).exists()))
    return replace(checked, source=paths[0], inputs=inputs, name=run_name(paths[0], config))


def _of_run_file(path: Path, config: ImportConfig) -> Checked:
    apart = {"model", "metadata", "files"} | ({"preset", "seed"} if config.model else set())
    given = [each.name for each in fields(config) if getattr(config, each.name) != each.default]
    if said := next((name for name in given if name not in apart), None):
        with_model = ", or give --model NAME with it" if said in ("preset", "seed") else ""
        raise CifarcoreError(
            f"{path.name}: is a run file, which says itself what it holds; leave out --{said.replace('_', '-')}"
            + with_model
        )
    run, notes = load_run(path), []
    named_by = {"model": config.model, "preset": config.preset, "seed": config.seed} if config.model else {}
    run = replace(run, meta=run.meta | named_by)
    if config.metadata:
        arrays, known, told = read_metadata(config.metadata, None, run.sample_ids)
        run, notes = replace(run, **arrays), ["; ".join([known, *told])]
    return Checked(run, None, tuple(notes), summary_of_run(run))


def _is_index(path: Path, paths: Sequence[Path]) -> bool:
    """Whether a file has the numbers of the rows of another, as Lightning writes them; it is read beside that one."""
    return path.name.startswith(INDICES) and path.with_name(path.name.replace(INDICES, SCORES, 1)) in paths


def _seeds(paths: Sequence[Path], config: ImportConfig) -> Iterator[tuple[Path, ImportConfig]]:
    """Each file with its seed: the last number in its name, where every name has another one; else counted from
    `config.seed`.
    """
    stems = list(map(stem_of, paths))
    model = config.model or _OF_SEED.sub("", commonprefix(stems))
    if not model:
        raise CifarcoreError(f"the files {', '.join(stems[:3])[:100]} have no name in common; give --model NAME")
    numbers = [numbers[-1] for stem in stems if (numbers := _SEED.findall(stem)) and len(numbers[-1]) < 10]
    if len(set(map(int, numbers))) < len(paths):
        numbers = [str(config.seed + i) for i in range(len(paths))]
    for path, number in zip(paths, numbers, strict=True):
        yield path, replace(config, model=model, seed=int(number))

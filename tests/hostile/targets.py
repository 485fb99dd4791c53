"""What is fuzzed: each reader of something that others write, fed from a source of choices (`mutants.Draw`).

The rule is one for all: it is read, or refused in one line by CifarcoreError; in little time and memory, see `fuzz.py`.
"""

import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from made import made_run, whole_run
from mutants import EDGES, METAS, TEXTS, Chance, Draw, Whole, edited, hostile_file, member, npy, outcome, pick, zipped

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.run import save_run
from cifarcore.text import one_line

Attempt = Callable[[Draw], str]
#: a refusal that says so did not know the size before: the limit of memory ended it
_NO_MEMORY = re.compile(r"MemoryError|bad_alloc|[Uu]nable to allocate|[Cc]annot allocate|can't allocate|malloc of size")


def said(read: Callable[[], object], name: str = "") -> str:
    """ "accepted", or the refusal with its names and numbers left out. Raises what no reader may raise."""
    try:
        read()
    except CifarcoreError as error:
        text = str(error)
        text.encode()
        assert "\n" not in text and len(text) <= 1000 and not _NO_MEMORY.search(text), text
        return re.sub(r"'[^']*'|\(.*\)|[\d.,]+", "…", text.replace(name, ""))[:60]
    return "accepted"


def runs(folder: Path) -> Attempt:
    whole = Whole(save_run(whole_run(), folder / "whole.npz"))
    path = folder / "hostile.npz"

    def attempt(draw: Draw) -> str:
        path.write_bytes(hostile_file(draw, whole))
        return outcome(path)

    return attempt


def meta(folder: Path) -> Attempt:
    """What a run file says of itself, and all that is made of it for a page, a report or a choice."""
    from cifarcore.config import RetrainConfig
    from cifarcore.evidence.seed_notes import seed_notes
    from cifarcore.files import plain_name
    from cifarcore.reports.sides import Side, seed_label
    from cifarcore.reports.summary import markdown
    from cifarcore.reports.tables.overview import RUN_FACTS
    from cifarcore.retraining.speeds import _speed_key
    from cifarcore.runs.layout import dataset_fingerprint, dataset_name, parse_meta
    from cifarcore.runs.run import model_key

    run, path = made_run(n_classes=4, n_images=12), folder / "meta.npz"
    keys = sorted(
        {*run.meta, "parent", "retraining", "training_data", "maps", "study", "imported", "zero_probabilities"}
    )

    def read(text: str) -> None:
        found = replace(run, meta=parse_meta(np.array(text), path), path=path)
        hash(model_key(found.meta))
        texts = [found.name, found.group, seed_label(found), Side("A", found.group, (found,)).title]
        texts += [dataset_name(found.meta), dataset_fingerprint(found.meta), _speed_key(found.meta, RetrainConfig())]
        texts += [format(value(found), form) for _, form, value in RUN_FACTS]
        texts += [*seed_notes([found, found], 1), plain_name(found.group), markdown(pd.DataFrame({"a": [found.group]}))]
        for each in texts:
            each.encode()

    def attempt(draw: Draw) -> str:
        way = draw.integer(0, 3)
        if way == 0:
            text = pick(draw, METAS)
        elif way == 1:
            text = edited(draw, json.dumps(run.meta).encode()).decode("utf-8", "surrogateescape")
        else:
            changes = {pick(draw, keys): _value(draw) for _ in range(draw.integer(1, 4))}
            text = json.dumps((run.meta if way == 2 else {}) | changes)
        return said(lambda: read(text), str(path))

    return attempt


def pictures(folder: Path) -> Attempt:
    from cifarcore.data.picture_files import read_picture

    whole, path = sound_pictures(), folder / "picture.tif"

    def read() -> None:
        picture = read_picture(path)
        assert picture.shown.mode == "RGB" and 0 <= picture.sample_id < 2**64

    def attempt(draw: Draw) -> str:
        path.write_bytes(edited(draw, pick(draw, whole)))
        return said(read, str(path))

    return attempt


def sound_pictures() -> list[bytes]:
    """Files of every format and mode that is read."""
    from PIL import Image

    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(256, size=(24, 24), dtype=np.uint8))
    color = Image.merge("RGB", [grey, grey.rotate(90), grey.rotate(180)])
    files = []
    for picture in (grey, color, color.quantize(16), color.convert("RGBA"), grey.convert("1"), color.convert("CMYK"),
                    color.convert("YCbCr"), color.convert("LAB"), grey.convert("I"), grey.convert("F"),
                    grey.convert("LA"), grey.convert("I;16")):  # fmt: skip
        for kind, options in (
            ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {}), ("PPM", {}), ("WEBP", {}),
            ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_jpeg"}),
            ("TIFF", {"compression": "group4"}), ("TIFF", {"compression": "packbits"}),
        ):  # fmt: skip
            buffer = io.BytesIO()
            try:
                picture.save(buffer, kind, **options)
            except (OSError, ValueError, KeyError, RuntimeError):  # not in this mode
                continue
            files.append(buffer.getvalue())
    return files


def packs(folder: Path) -> Attempt:
    from PIL import Image

    from cifarcore.data.ids import sample_ids
    from cifarcore.data.packs import SIDE, Pack, packed_files

    buffer, drawn = io.BytesIO(), np.random.default_rng(0).integers(256, size=(4, 8, 8, 3), dtype=np.uint8)
    with zipfile.ZipFile(buffer, "w") as archive:
        for image, sample_id in zip(drawn, sample_ids(drawn).tolist(), strict=True):
            for kind, suffix, own in (("PNG", "png", sample_id), ("JPEG", "jpg", sample_id ^ 1)):
                content = io.BytesIO()
                Image.fromarray(image).save(content, kind)
                info = zipfile.ZipInfo(f"{own:016x}.{suffix}")
                info.comment = b"cat/a.png\0dog/\xff.png"
                archive.writestr(info, content.getvalue())
    whole, path = buffer.getvalue(), folder / "some.pictures.zip"

    def read() -> None:
        for name, sample_id in packed_files(path).items():
            assert name and 0 <= sample_id < 2**64
        pack = Pack(path)
        for sample_id in pack.ids.tolist():
            pixels = pack.pixels(sample_id)
            assert pixels is None or (pixels.dtype == np.uint8 and pixels.shape[2] == 3 and max(pixels.shape) <= SIDE)

    def attempt(draw: Draw) -> str:
        path.write_bytes(edited(draw, whole))
        return said(read, path.name)

    return attempt


def tables(folder: Path) -> Attempt:
    """Predictions as text, JSON, arrays and MATLAB's matrices."""
    from scipy.io import savemat

    from cifarcore.runs import formats

    formats._read_apart = by_one_reader(folder)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sample_id": [f"{i:016x}" for i in range(12)], "label": list("abc") * 4})
    scores = pd.DataFrame(rng.normal(size=(12, 3)).round(3), columns=list("abc"))
    labels = np.arange(12) % 3
    whole = {
        "text.csv": frame.join(scores).to_csv(index=False).encode(),
        "text.tsv": frame.join(scores).to_csv(index=False, sep="\t", decimal=",").encode("utf-16"),
        "bare.txt": scores.to_csv(index=False, header=False, sep=" ").encode(),
        "records.json": frame.join(scores).to_json(orient="records").encode(),
        "lists.json": json.dumps({"label": labels.tolist(), "scores": scores.to_numpy().tolist()}).encode(),
        "split.json": scores.to_json(orient="split").encode(),
        "lines.jsonl": frame.assign(scores=scores.to_numpy().tolist()).to_json(orient="records", lines=True).encode(),
    }
    writers = {
        "one.npy": lambda file: np.save(file, scores.to_numpy()),
        "some.npz": lambda file: np.savez_compressed(file, logits=scores.to_numpy(), labels=labels),
        "some.mat": lambda file: savemat(file, {"scores": scores.to_numpy(), "labels": labels}, do_compression=True),
    }
    for name, write in writers.items():
        buffer = io.BytesIO()
        write(buffer)
        whole[name] = buffer.getvalue()

    def attempt(draw: Draw) -> str:
        name = pick(draw, sorted(whole))
        content = edited(draw, whole[name])
        if name.endswith(("json", "jsonl", "csv")) and not draw.integer(0, 2):
            at = draw.integer(0, len(content))
            content = content[:at] + json.dumps(_value(draw)).encode() + content[at:]
        (folder / name).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas has its doubts, too
            return f"{name}: {said(lambda: formats.read_predictions(folder / name), name)}"

    return attempt


def columnar(folder: Path) -> Attempt:
    """Parquet, Feather and Arrow's streams."""
    import pyarrow
    from pyarrow import feather, ipc, parquet

    from cifarcore.runs import formats

    rows = 40
    table = pyarrow.table({
        "file": [f"{i}.png" for i in range(rows)], "label": [["cat", "dog"][i % 2] for i in range(rows)],
        "cat": np.linspace(0, 1, rows), "dog": np.linspace(1, 0, rows),
    })  # fmt: skip
    with_lists = table.append_column("more", [[[f"t{i % 3}"] * 2 for i in range(rows)]])
    whole = []
    bare = {"use_dictionary": False, "data_page_version": "2.0"}
    for kind, options in ((table, {}), (with_lists, {"compression": "zstd"}), (table, bare)):
        parquet.write_table(kind, folder / "whole.parquet", **options)
        whole.append(("hostile.parquet", (folder / "whole.parquet").read_bytes()))
    for compression in ("lz4", "uncompressed"):
        feather.write_feather(table, folder / "whole.feather", compression=compression)
        whole.append(("hostile.feather", (folder / "whole.feather").read_bytes()))
    stream = io.BytesIO()
    with ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    whole.append(("hostile.arrow", stream.getvalue()))

    formats._read_apart = by_one_reader(folder)

    def attempt(draw: Draw) -> str:
        name, content = pick(draw, whole)
        (folder / name).write_bytes(edited(draw, content) if draw.integer(0, 19) else content)
        return f"{name}: {said(lambda: formats.read_predictions(folder / name), name)}"

    return attempt


def by_one_reader(folder: Path) -> Callable:
    """Reads as `formats` does, but by a process that reads one file after another."""
    from cifarcore.runs.readers.handed import handed

    readers: list[subprocess.Popen] = []
    turns = count()

    def read_by_one(path: Path, *_: object) -> Predictions:
        if next(turns) % 200 == 199 and readers:  # what a damaged file left in it is not the next one's
            readers[0].kill()
            readers.pop().wait()
        if not readers:
            command = [sys.executable, "-W", "ignore", "-c", _READER.format(path=sys.path)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            readers.append(subprocess.Popen(command, text=True, **pipes))
        readers[0].stdin.write(f"{path}\n")
        readers[0].stdin.flush()
        if not (answer := readers[0].stdout.readline().strip()):
            readers[0].kill()
            readers.pop().wait()
            raise CifarcoreError("the process that reads it ended")
        if answer != "read":
            raise CifarcoreError(answer)
        return handed(folder / "out")

    return read_by_one


_READER = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from cifarcore.errors import CifarcoreError
from cifarcore.runs.formats import read_here
from cifarcore.runs.readers.handed import hand_over
before = resource.getrlimit(resource.RLIMIT_AS)[1]
limit = 6 << 30 if before == resource.RLIM_INFINITY else min(before, 6 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin:
    path = Path(line.strip())
    try:
        hand_over(read_here(path), path.with_name("out"))
        print("read", flush=True)
    except CifarcoreError as error:
        print(error, flush=True)
"""


def checkpoints(folder: Path) -> Attempt:
    """What torch.save wrote: weights, and tensors of predictions."""
    import torch

    from cifarcore.config import TrainConfig
    from cifarcore.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from cifarcore.training.models import empty_model
    from cifarcore.training.tensor_files import arrays_in, convert, load

    config = TrainConfig(preset="tiny", dataset="synthetic", widths=(2, 2, 2), hidden=4, image_size=8)
    weights = {name: tensor.half() for name, tensor in empty_model(config, 4).state_dict().items()}
    save_checkpoint(Checkpoint(config, weights, list("abcd"), {"model": "cnn"}, {"epoch": [1.0]}), folder / "whole.pt")
    torch.save({"logits": torch.zeros(6, 3), "labels": torch.arange(6) % 3}, folder / "scores.pt")
    whole = [(folder / name).read_bytes() for name in ("whole.pt", "scores.pt")]
    content = torch.load(folder / "whole.pt", weights_only=True)
    path, out = folder / "hostile.pt", folder / "out.npz"

    def attempt(draw: Draw) -> str:
        way = draw.integer(0, 2)
        if way < 2:
            path.write_bytes(edited(draw, whole[way]))
        else:
            change = {pick(draw, [*content, "optimizer", "x"]): _tensors(draw, torch)}
            if not draw.integer(0, 1):
                change = {"config": content["config"] | {pick(draw, [*content["config"], "x"]): _value(draw)}}
            torch.save(content | change, path)
        if draw.integer(0, 1):
            return f"weights: {said(lambda: load_checkpoint(path).model(), str(path))}"
        return f"scores: {said(lambda: (arrays_in(load(path)), convert(path, out)), str(path))}"

    return attempt


def jobs(folder: Path) -> Attempt:
    """A retraining's folder as it may come with someone's run folder: its settings, process, progress and end."""
    from cifarcore.config import RetrainConfig
    from cifarcore.retraining import folders, progress, setup, speeds
    from cifarcore.retraining.jobs import read_job

    save_run(made_run(n_classes=4, n_images=12), folder / "cnn.npz")
    (folder / "cnn.pt").write_bytes(b"weights")
    job = setup.create(RetrainConfig(focus="all", seconds=5.0), folder / "cnn.npz", folder, "job")
    line = json.dumps({"phase": "learning", "at": 1, "learned": 1, "left": 2, "loss": 0.5, "fraction": 0.1}).encode()
    whole = {
        progress.SETUP: (job / progress.SETUP).read_bytes(),
        progress.PROCESS: b'{"pid": 1, "process_started": 1.5, "since_boot": 0.5}',
        progress.STARTED: b'{"pid": 99999999, "token": "a"}',
        progress.RESULT: b'{"state": "failed", "message": "why", "at": 1}',
        progress.PROGRESS: line + b"\n" + line + b"\n",
        progress.LOG: b"cifarcore: why\n",
    }
    retrained = job.parent
    kept = {"speeds.json": b'{"a": {"learning": 1.0, "scoring": 2.0}}', "measuring.json": b'{"pid": 1}'}

    def read() -> None:
        found = read_job(job)
        texts = [found.state, found.message, found.log_tail, *(line["phase"] for line in found.progress.lines)]
        for series in (found.progress.series("loss"), [found.progress.last]):
            assert all(abs(number) < 1e16 for each in series for key, number in each.items() if key != "phase")
        assert len(folders.jobs(folder)) == 1 and "\n" not in found.message
        speeds.measuring(folder)
        speeds.speed_of(folder, {}, RetrainConfig())
        for each in texts:
            each.encode()
        settings = setup.read_setup(job)
        setup.learns_from_kept_features(job)
        assert all(index >= 0 for index in settings.focus)

    def attempt(draw: Draw) -> str:
        for place, files in ((job, whole), (retrained, kept)):
            for name, content in files.items():
                (place / name).write_bytes(content)
        for _ in range(draw.integer(1, 3)):
            place, files = pick(draw, ((job, whole), (job, whole), (retrained, kept)))
            name = pick(draw, sorted(files))
            if draw.integer(0, 1):
                content = edited(draw, files[name])
            elif name in (progress.PROGRESS, progress.LOG):
                content = json.dumps(_value(draw)).encode() + b"\n"
            else:
                object_ = json.loads(files[name])
                inner = object_["config"] if name == progress.SETUP and draw.integer(0, 1) else object_
                inner[pick(draw, [*inner, "x"])] = _value(draw)
                content = json.dumps(object_).encode()
            (place / name).write_bytes(content)
        return said(read, str(job))

    return attempt


def selections(folder: Path) -> Attempt:
    """Lists of images that lie beside the runs, and those that are imported."""
    from cifarcore.runs import selections as kept_lists

    run, place = made_run(n_classes=4, n_images=12), folder / kept_lists.FOLDER
    one = kept_lists.Selection("one", run.sample_ids[:6], run.labels[:6])
    other = kept_lists.Selection("other", run.sample_ids[4:], run.labels[4:])
    whole = [kept_lists.exported([one])] + [kept_lists.exported([one, other])] * 2
    whole.append(whole[0].replace(b"slice,", b"").replace(b"one,", b""))
    place.mkdir()

    def read_kept() -> None:
        found, refused = kept_lists.selections(folder)
        for each in found:
            assert each.among(run.sample_ids, run.labels).shape == (12,) and len(each.sample_ids) == len(each.labels)
        kept_lists.exported(found).decode("utf-8-sig")
        if refused:
            raise CifarcoreError(refused[0])

    def attempt(draw: Draw) -> str:
        for path in place.glob("*.csv"):
            path.unlink()
        content = pick(draw, whole)
        way = draw.integer(0, 5)
        if way < 4:
            content = edited(draw, content)
        if way in (3, 4):
            at = draw.integer(0, len(content))
            content = content[:at] + str(_value(draw)).encode("utf-8", "replace") + content[at:]
        if draw.integer(0, 1):
            (place / "kept.csv").write_bytes(content)
            return f"kept: {said(read_kept, 'kept.csv')}"
        name = f"{_text(draw).encode('utf-8', 'replace').decode()}.csv"

        def take() -> None:
            try:
                names = kept_lists.import_selections(folder, name, content)
            except CifarcoreError:
                assert not list(place.iterdir()), "nothing of what is refused is kept"
                raise
            read_kept()  # what was taken is read again
            assert sorted(each.name for each in kept_lists.selections(folder)[0]) == sorted(names)

        return f"imported: {said(take, one_line(name, 100))}"

    return attempt


def corrupted(folder: Path) -> Attempt:
    """Predictions on corrupted images beside a run, and the comparison of two runs by them."""
    from cifarcore.data.corruptions import CORRUPTIONS, SEVERITIES
    from cifarcore.evidence import robustness
    from cifarcore.runs import corrupted as beside

    run = replace(made_run(n_classes=4, n_images=12), path=folder / "run.npz")
    conditions = tuple((name, severity) for name in list(CORRUPTIONS)[:2] for severity in SEVERITIES[:2])
    predictions = np.random.default_rng(0).integers(0, 4, (4, 12), np.int16)
    sound = beside.Corrupted(run.sample_ids, run.predictions.astype(np.int16), conditions, predictions)
    path = beside.corrupted_path(run.path)
    beside.save_corrupted(sound, path)
    content = path.read_bytes()
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}

    def read() -> None:
        found = beside.corrupted_of(run)
        if found is None:  # of other images
            return
        assert found.predictions.shape == (len(found.conditions), len(found.sample_ids))
        assert set(found.sample_ids.tolist()) <= set(run.sample_ids.tolist())
        robustness.compare([(run, found)], [(run, sound)])
        sound.merged(found) if len(found.sample_ids) == 12 else None

    def attempt(draw: Draw) -> str:
        if draw.integer(0, 1):
            path.write_bytes(edited(draw, content))
        else:
            hostile = {pick(draw, sorted(arrays)) for _ in range(draw.integer(1, 2))}
            parts = [
                (name, (member(draw, name, each) if name in hostile else npy(each))) for name, each in arrays.items()
            ]
            path.write_bytes(zipped(parts[draw.integer(0, 1) and draw.integer(0, 1) :]))
        return said(read, str(path))

    return attempt


def addresses(folder: Path) -> Attempt:
    """Texts of an address, and names that become files, links, pictures and requests."""
    from cifarcore.app import pictures as served
    from cifarcore.app.addresses import renamed
    from cifarcore.app.safe_text import csv, escape
    from cifarcore.app.serving import _problem
    from cifarcore.config import ImportConfig, RetrainConfig
    from cifarcore.files import download_name, is_plain, plain_name
    from cifarcore.reports.sides import Side, Sides
    from cifarcore.reports.tables.explorer import marked
    from cifarcore.retraining.folders import job_folder
    from cifarcore.runs.importing import imported_path, run_name

    run = made_run(n_classes=4, n_images=12)
    sides = Sides(Side("A", "a", (run,)), Side("B", "b", (run,)), 0, 0, np.arange(4))

    def read(text: str) -> None:
        row, part = sides.row_at(text), marked(text)
        assert row is None or 0 <= row < 12
        assert part is None or part.holds(np.zeros((3, 2))).shape == (3,)
        for parameter in ("split", "class", "point", "list"):
            assert isinstance(renamed(parameter, text), str)
        assert "\n" not in escape(text) and "/" not in download_name(text, suffix=".csv")
        assert not csv(pd.DataFrame({"a": [text]})).decode("utf-8-sig").split("\n")[1].startswith(tuple("=+@\t\r"))
        name = plain_name(text)
        assert is_plain(name) and imported_path(folder, run_name(text, ImportConfig())).parent == folder / "imported"
        assert served.png(text, row or 0) is None
        headers = [(key, text.encode("latin-1", "replace")) for key in (b"host", b"origin")]
        answer = _problem({"type": "http", "method": "POST", "path": "/", "headers": headers})
        assert answer.endswith("to open it under another NAME, start it with --server.allowedHosts NAME.\n") or (
            not answer or answer.startswith("Requests from pages of other sites")
        )
        assert job_folder(folder, name if name.casefold() != "features" else "x").parent == folder / "retrained"
        imported_path(folder, text)  # which refuses most
        RetrainConfig(focus=text)

    def attempt(draw: Draw) -> str:
        parts = ("A", "B", ",", "-", "-1", "0", "1e308", "nan", "f" * 16, "../", "\\", "%00", "localhost", ":")
        texts = [pick(draw, parts) if draw.integer(0, 2) else _text(draw) for _ in range(draw.integer(1, 6))]
        text = "".join(texts).encode("utf-8", "replace").decode()  # as a server decodes it
        return said(lambda: read(text), text)

    return attempt


def pages(folder: Path) -> Attempt:
    """The app's pages at hostile addresses; seconds each, so few of these."""
    from pages import PAGES, run, two_models, write

    place = folder / "checkpoints"
    place.mkdir()
    write(place, *two_models((0, 1), n_images=60, n_classes=4))
    found = set()
    for path in (Path(__file__).parents[2] / "cifarcore" / "app").rglob("*.py"):
        found |= set(re.findall(r'key="([\w-]+)"[^\n]*\n?[^\n]*bind="query', path.read_text(encoding="utf-8")))
    names = sorted(found | {"A", "B", "seedA", "seedB", "image", "marked", "super", "class"})

    def attempt(draw: Draw) -> str:
        query = {pick(draw, names): _text(draw) for _ in range(draw.integer(1, 6))}
        name = pick(draw, PAGES)
        app = run(place, name, {key: text.encode("utf-8", "replace").decode() for key, text in query.items()})
        assert not app.exception
        return f"{name} drawn"

    return attempt


#: what is fuzzed -> its share of the cases
SHARES: dict[Callable[[Path], Attempt], float] = {
    runs: 0.1, meta: 0.18, pictures: 0.12, packs: 0.12, tables: 0.06, columnar: 0.06, checkpoints: 0.04, jobs: 0.1,
    addresses: 0.179, selections: 0.02, corrupted: 0.02, pages: 0.001,
}  # fmt: skip
TARGETS = {target.__name__: target for target in SHARES}


def _text(draw: Draw) -> str:
    way = draw.integer(0, 3)
    if way == 0:
        return str(pick(draw, EDGES))
    if way == 1:
        return pick(draw, TEXTS)
    if way == 2:
        return draw.octets(12).decode("utf-16-le", "replace")
    return draw.octets(12).decode("latin-1")


def _value(draw: Draw, depth: int = 0) -> object:
    """What JSON can hold, and what Python's writes as if it could."""
    way = draw.integer(0, 8 if depth < 3 else 6)
    if way < 3:
        return pick(draw, (None, True, False, 0, -1, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 10**30, 2**63))
    if way == 3:
        return pick(draw, EDGES)
    if way < 7:
        return _text(draw)
    values = [_value(draw, depth + 1) for _ in range(draw.integer(0, 3))]
    return values if way == 7 else {_text(draw): each for each in values}


def _tensors(draw: Draw, torch) -> object:
    """What torch.save may hold where something else is meant: tensors of any shape, views of few numbers, lists."""
    way = draw.integer(0, 4)
    if way == 0:
        return torch.zeros(1).expand(tuple(pick(draw, (0, 1, 10**4, 10**6)) for _ in range(draw.integer(1, 3))))
    if way == 1:
        return torch.zeros(
            draw.integer(0, 4), draw.integer(0, 4), dtype=pick(draw, (torch.int8, torch.bfloat16, torch.cfloat))
        )
    if way == 2:
        lists: list = []
        for _ in range(draw.integer(0, 80)):
            lists = [lists, lists]
        return lists
    return {_text(draw): torch.ones(2)} if way == 3 else _value(draw)


def cases(target: str, folder: Path, seed: int, first: int) -> Iterator[str]:
    """What comes of each case of a target, from the `first` on: a case is what its seed and its number make it."""
    attempt = TARGETS[target](folder)
    for number in range(first, 10**12):
        yield attempt(Chance(seed * 10**9 + number))

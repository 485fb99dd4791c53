"""What the search for slices is made of: names from files, and the lists of images that lie beside the runs."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run, with_metadata
from mutants import Chance, edited
from pages import run as page
from pages import text, two_models, write
from test_hostile_pages import NAMES, RENDERED

from cifarcore.data import property_files
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.slices import apart, find, of_columns
from cifarcore.runs import selections
from cifarcore.runs.corrupted import Corrupted, load_corrupted, save_corrupted
from cifarcore.runs.metadata import read_metadata
from cifarcore.runs.run import load_run, save_run

N = 2000
HALF = np.arange(N) % 2 == 0


def planted(values):
    """Runs of N images of which B is better on the first of two metadata `values`, the columns."""
    a, b = two_models(n_images=N)
    logits = np.where(HALF[:, None], a.logits, b.logits)
    names, columns = list(values), np.stack(list(values.values()), axis=1)
    metadata = {"metadata_names": np.array(names), "metadata_values": columns}
    return replace(a, **metadata), replace(b, logits=logits, **metadata)


@pytest.mark.parametrize(
    ("name", "value"), [("Arts & Crafts", "salt & pepper"), ("a: b & c", ": & :"), ("x & y: z", "& & &"), ("k", "")]
)
def test_names_may_hold_what_joins_conditions(name, value):
    """A slice that is listed is found again by its name, and is of the images that it says."""
    first = np.where(HALF, value or "v", "other & more")
    second = np.where(np.arange(N) % 3 == 0, "a & b", "c")
    a, b = planted({name: first, "second & third": second})
    found = find([a], [b], of_columns({name: first, "second & third": second}))
    assert len(found.conditions) == 4 and len(found.table)
    for i, one in enumerate(found.conditions):
        assert np.array_equal(found.mask(one), found.masks[i])
        for j, other in enumerate(found.conditions):
            both = found.mask(f"{one} & {other}")
            assert np.array_equal(both, found.masks[i] & found.masks[j])
    for listed in found.table["slice"]:
        assert found.mask(listed) is not None and apart(found, listed) is not None
    its = f"{name}: {value or 'v'}"
    assert not any(text.startswith(f"{name}: ") for text in apart(found, its)["condition"])
    assert found.mask("no & such") is None and found.mask("") is None


def test_names_that_are_shown_alike_are_told_apart():
    """Shortened, and without what cannot be seen, two may be one."""
    values = np.where(HALF, "v" * 100 + "1" + "v" * 100, np.where(np.arange(N) % 3 == 0, "v" * 201, "v\u200b"))
    columns = {"site": values, "site\u200b": np.where(np.arange(N) < 900, "p", "q")}
    a, b = two_models(n_images=N)
    found = find([a], [b], of_columns(columns))
    assert len(set(found.conditions)) == len(found.conditions) == 5
    masks = [found.mask(condition).sum() for condition in found.conditions]
    assert masks == [mask.sum() for mask in found.masks]


def test_hostile_names_break_no_page_of_slices(folder):
    """Names of columns, their values, and names of the user's files."""
    values = {name: np.where(HALF, NAMES[(i + 1) % 10], f"{NAMES[(i + 2) % 10]} & x") for i, name in enumerate(NAMES)}
    values["control"] = np.where(HALF, "\x1b[2J", "\u2028")
    a, b = planted(values)
    write(folder, a, b)
    (folder / selections.FOLDER).mkdir()
    for name in (b"=1+1", b"-x", b"a\xff", b"a\xfe", b"<img src=x>", b"[x](javascript:1)"):
        path = os.fsencode(folder / selections.FOLDER) + b"/" + name + b".csv"
        with open(path, "wb") as file:
            file.write(b"sample_id,label\n%016x,%d\n" % (int(a.sample_ids[0]), int(a.labels[0])))
    app = page(folder, "slices")
    options = app.selectbox(key="slice").options
    assert len(options) == len(set(options)) > 1 and len(set(app.selectbox(key="saved").options)) == 6
    for option in options[:3]:
        app.selectbox(key="slice").set_value(option).run()
        assert not app.exception
    shown = text(app).replace("[Highlight in the explorer](explorer?", "")  # the app's own links
    assert not RENDERED.search(shown) and shown.encode()
    page(folder, "explorer", {"slice": options[0], "color": "slice"})
    kept, refused = selections.selections(folder)
    cells = pd.read_csv(pd.io.common.BytesIO(selections.exported(kept)), dtype=str)["slice"].tolist()
    assert len(cells) == 6 and not refused and not any(cell[0] in "=+-@" for cell in cells)


HEAD = b"sample_id,label"
LARGE = {
    "columns": HEAD + b"," * (1 << 20) + b"\n1,2\n",
    "columns behind blank lines": b"\xef\xbb\xbf\n\r\n \n" + HEAD + b"," * (1 << 20),
    "columns over lines": HEAD + b',"\n"' * (1 << 18),
    "rows": HEAD + b"\n" + b"1,2\r\n" * 2_000_100,
    "empty rows": HEAD + b"\n" * 4_000_400,
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_lists_of_more_than_is_read_are_refused_before_there_is_a_table(tmp_path, content, monkeypatch):
    """Of a million columns, or of tens of millions of rows, pandas makes minutes and gigabytes."""
    monkeypatch.setattr(pd, "read_csv", lambda *_, **__: pytest.fail("a table is made"))
    (tmp_path / selections.FOLDER).mkdir()
    (tmp_path / selections.FOLDER / "large.csv").write_bytes(content)
    kept, (line,) = selections.selections(tmp_path)
    assert not kept and line.startswith("large.csv: ") and "\n" not in line and len(line) < 200
    with pytest.raises(CifarcoreError, match="large.csv: "):
        selections.import_selections(tmp_path, "large.csv", content)
    with pytest.raises(CifarcoreError, match="metadata large.csv: "):
        read_metadata(str(tmp_path / selections.FOLDER / "large.csv"), None, np.arange(3, dtype=np.uint64))


def test_damaged_files_beside_the_runs_are_made_anew_or_refused_in_a_line(tmp_path):
    ids = np.arange(50, dtype=np.uint64)
    whole = tmp_path / "run.corruptions"
    save_corrupted(Corrupted(ids, ids % 7, (("fog", 1),), (ids % 7)[None]), whole)
    np.savez_compressed(tmp_path / "kept.npz", sample_ids=ids, brightness=np.linspace(0, 1, 50, dtype=np.float32))
    save = {path: path.read_bytes() for path in (whole, tmp_path / "kept.npz")}
    draw, refused = Chance(0), 0
    for _ in range(300):
        whole.write_bytes(edited(draw, save[whole]))
        try:
            load_corrupted(whole)
        except CifarcoreError as error:
            assert "\n" not in str(error) and "delete it" in str(error)
            refused += 1
        kept = tmp_path / "kept.npz"
        kept.write_bytes(edited(draw, save[kept]))
        refused += property_files._read(kept) is None
    assert refused > 100


def test_predictions_of_no_class_are_refused(tmp_path):
    """As int16 they would be other classes."""
    path, ids = tmp_path / "run.corruptions", np.arange(3, dtype=np.uint64)
    for wrong in (65_536, -1):
        arrays = {"clean": ids.astype(int), "predictions": np.full((1, 3), wrong)}
        with path.open("wb") as file:
            np.savez(file, sample_ids=ids, corruption=np.array(["fog"]), severity=np.array([1]), **arrays)
        with pytest.raises(CifarcoreError, match="predictions of no class"):
            load_corrupted(path)


@pytest.mark.parametrize("half", ["\ud800", "x\udfff"])
def test_halves_of_characters_in_metadata_are_refused(tmp_path, half):
    """No table can be made of them, and no page or report be sent with them."""
    path = save_run(with_metadata(made_run(n_images=20)), tmp_path / "run.npz")
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"metadata_values": np.where(arrays["metadata_values"] == "", half, "a")})
    with pytest.raises(CifarcoreError, match="'metadata_values' holds code points that are no characters"):
        load_run(path)

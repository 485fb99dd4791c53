"""Lines of labels and of metadata find their pictures by name, and never another picture of that name."""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run
from pictures import draw

from cifarcore.errors import CifarcoreError
from cifarcore.evidence.slices import columns_of
from cifarcore.runs.by_name import AMBIGUOUS, MISSING, lines_of
from cifarcore.runs.file_labels import labels_of

LONG = "x" * 120 + ".png"
QUOTED = f"dog/{LONG}"[:100]


@pytest.mark.parametrize(
    ("listed", "files", "lines"),
    [
        (["cat/1.png", "dog/1.png"], ["/home/me/dog/1.png", "cat\\1.png"], [1, 0]),
        (["/data/val/dog/1.png", "/data/val/cat/1.png"], ["cat/1.jpg", "dog/1"], [1, 0]),
        (["1.png", "2.png"], ["cat/2.jpg", "dog/1.jpg"], [1, 0]),
        (["images/1.png", "images/2.png"], ["cat/2.png", "3.png"], [1, MISSING]),
        (["cat/1.png", "dog/1.png"], ["1.png"], [AMBIGUOUS]),
        (["a/cat/1.png", "b/cat/1.png"], ["cat/1.png", "b/cat/1.png"], [AMBIGUOUS, 1]),
        (["1.png"], ["cat/1.png", "dog/1.png"], [AMBIGUOUS, AMBIGUOUS]),
        (["cat/1.png"], ["cat/1.png", "dog/1.png"], [0, MISSING]),  # the dog is not in the table
        (["cat/1.png", "dog/2.png"], ["dog/1.png"], [MISSING]),
        (["1.png", "1.jpg"], ["1.jpg", "1.png", "1"], [1, 0, AMBIGUOUS]),
        (["cafe\u0301/1.png"], ["café/1.png"], [0]),
    ],
)
def test_which_line_is_of_which_file(listed, files, lines):
    assert lines_of(listed, files).tolist() == lines


def _named_alike(tmp_path):
    """Predictions of pictures whose own names are the same in each class, as data sets have them."""
    run = made_run(2, 60)
    names = run.class_names.tolist()
    counted = dict.fromkeys(names, 0)
    files = []
    for label in run.labels.tolist():
        files.append(f"{names[label]}/{counted[names[label]]:04}.png")
        counted[names[label]] += 1
    arrays = {"logits": run.logits, "class_names": names, "sample_ids": run.sample_ids, "files": files}
    np.savez(tmp_path / "theirs.npz", **arrays)
    return run, files


def test_labels_are_found_by_folder_and_name(tmp_path):
    run, files = _named_alike(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(f"val/{file},{file.split('/')[0]}" for file in files))
    kept = taken(tmp_path / "theirs.npz", tmp_path, labels=str(labels)).run
    of_id = dict(zip(run.sample_ids.tolist(), run.labels.tolist(), strict=True))
    assert kept.labels.tolist() == [of_id[sample_id] for sample_id in kept.sample_ids.tolist()]
    labels.write_text("\n".join(f"{file.split('/')[1]},{file.split('/')[0]}" for file in files[:1]))
    said = refused(tmp_path / "theirs.npz", tmp_path, labels=str(labels))
    assert "files" in said and "--labels" in said


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (["cat/0.png", "cat/1.png"], f"2 of 3 files have no label in --labels (first: {QUOTED!r})"),
        (
            ["0.png", "b/1.png", "c/1.png", f"a/{LONG}", f"b/{LONG}"],
            f"2 of 3 files are of no line of their own in --labels (first: {QUOTED!r}); name them there with "
            "their folders",
        ),
    ],
)
def test_files_without_a_label_of_their_own_are_counted_and_the_first_is_quoted(listed, said):
    with pytest.raises(CifarcoreError) as caught:
        labels_of(["cat/0.png", f"dog/{LONG}", "emu/1.png"], dict.fromkeys(listed, "cat"))
    assert str(caught.value) == said


def test_metadata_of_another_folders_picture_are_not_taken(tmp_path):
    run, files = _named_alike(tmp_path)
    first = files[0].split("/")[0]
    known = pd.DataFrame({"file": [file for file in files if file.startswith(f"{first}/")]})
    known.assign(site="north").to_csv(tmp_path / "known.csv", index=False)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(f"{file},{file.split('/')[0]}" for file in files))
    options = {"labels": str(labels), "metadata": str(tmp_path / "known.csv")}
    kept = taken(tmp_path / "theirs.npz", tmp_path, **options).run
    of_first = kept.labels == run.class_names.tolist().index(first)
    assert (columns_of(kept)["site"] == np.where(of_first, "north", "")).all()
    pd.DataFrame({"file": ["0000.png"], "site": ["north"]}).to_csv(tmp_path / "known.csv", index=False)
    said = refused(tmp_path / "theirs.npz", tmp_path, **options)
    assert "is unclear, as another has its name; give their folders too" in said


def test_labels_by_file_that_no_row_names_are_said_to_be_unused(tmp_path):
    made = draw(tmp_path / "pets", {name: ["0.png", "1.png"] for name in ("cat", "dog", "eel")})
    np.save(tmp_path / "theirs.npy", made.probabilities)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(f"{file},eel" for file in made.files))
    notes = taken(tmp_path / "theirs.npy", tmp_path, images=str(made.root), labels=str(labels)).notes
    assert any("the labels of --labels were not used" in note for note in notes)

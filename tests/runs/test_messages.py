"""What is refused says what to do, and what was understood of the file."""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused
from pictures import plain

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers.tables import from_table


def test_a_refusal_says_what_was_understood(tmp_path):
    made = plain(tmp_path / "pictures")
    frame = made.frame(filename=made.files, target=made.labels, split="val")
    frame = frame.rename(columns={"class 1": "class 7"})
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    assert refused(tmp_path / "theirs.csv", tmp_path, images=str(made.root)).endswith(
        "(read: 24 rows, 3 columns of scores; labels from 'target'; picture files from 'filename'; classes 'class 0' "
        "to 'class 2'; not used: 'split')"
    )
    np.savez(tmp_path / "theirs.npz", probs=made.probabilities, index=np.arange(24))
    assert "(read: 24 rows, 3 columns of scores; scores from 'probs'; row numbers from 'index')" in refused(
        tmp_path / "theirs.npz", tmp_path
    )
    np.savez(tmp_path / "theirs.npz", made.probabilities)
    assert "(read: 24 rows, 3 columns of scores)" in refused(tmp_path / "theirs.npz", tmp_path)


def test_a_file_that_names_its_pictures_needs_their_folder(tmp_path):
    made = plain(tmp_path / "pictures")
    made.frame(file=made.files).to_csv(tmp_path / "theirs.csv", index=False)
    said = refused(tmp_path / "theirs.csv", tmp_path)
    assert said.startswith("the file names its pictures; give --images FOLDER, which holds them, or --like RUN")


def test_labels_that_are_missing_are_asked_for_by_their_headings(tmp_path):
    made = plain(tmp_path / "pictures")
    made.frame(sample_id=made.ids).to_csv(tmp_path / "theirs.csv", index=False)
    assert "named label, target, y_true, ground_truth, fine_label or the like" in refused(
        tmp_path / "theirs.csv", tmp_path
    )


@pytest.mark.parametrize(
    "table",
    [
        {"label": ["a"], "remark" * 1000: ["x"], "other" * 1000: ["y"]},
        {"c" * 5000: ["[0.5, 0.5]", "[0.5]"], "label": ["a", "b"]},
    ],
)
def test_a_long_heading_is_cut_where_it_is_quoted(table):
    with pytest.raises(CifarcoreError) as refusal:
        from_table(pd.DataFrame(table))
    assert len(str(refusal.value)) < 500 and "…" in str(refusal.value)

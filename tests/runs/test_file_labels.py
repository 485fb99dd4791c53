"""Tables of files and labels, as `--labels` reads them, in the layouts of common tools."""

import pandas as pd
import pytest

from cifarcore import CifarcoreError
from cifarcore.runs.file_labels import read_file_labels

WANTED = {"a, b.png": "Smith, John", "b.png": 'say "moo"'}
TABLE = pd.DataFrame({"file": list(WANTED), "label": list(WANTED.values())})
LAYOUTS = {
    "as documented": TABLE.to_csv(index=False),
    "labels first": TABLE[["label", "file"]].to_csv(index=False),
    "labels first, without a header": TABLE[["label", "file"]].to_csv(index=False, header=False),
    "pandas' index": TABLE.to_csv(),
    "pandas' index, read and written again": TABLE.rename_axis("Unnamed: 0").to_csv(),
    "labels first, and an index": TABLE[["label", "file"]].to_csv(),
    "all in quotes": TABLE.to_csv(index=False, quoting=1),
    "Excel": "\ufeff" + TABLE.to_csv(index=False, sep=";", lineterminator="\r\n"),
    "tabs": TABLE.to_csv(index=False, sep="\t"),
    "R's tabs": 'file\tlabel\n1\t"a, b.png"\t"Smith, John"\n2\tb.png\t"say ""moo"""\n',
    "R's names of rows": TABLE.set_axis(["1", "2"]).to_csv(quoting=1),
    "empty cells at the end": 'file,label\n"a, b.png","Smith, John",,\nb.png,"say ""moo""",,\n',
}


def read(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    return read_file_labels(str(tmp_path / "labels.csv"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_file_has_its_own_label(tmp_path, layout):
    assert read(tmp_path, LAYOUTS[layout]) == WANTED


OPEN = {
    "names with commas, not in quotes": ("a.png,Smith, John\nb.png,dog", "cannot be read as a table"),
    "the same below a header": ("file,label\na.png,Smith, John\nb.png,Roe, Jane", "cannot be read as a table"),
    "names with blanks": ("a.png golden retriever\nb.png german shepherd", "cannot be read as a table"),
    "two separators": ("Smith, John;a.png\nRoe, Jane;b.png", "may be parted in two ways"),
    "two columns of files": ("source,picture,label\nx.png,a.png,cat\ny.png,b.png,dog", "which column has the files"),
    "an index without a header": ("0,a.png,cat\n1,b.png,dog", "which column has the files"),
    "the model's answers": ("file,prediction\na.png,cat\nb.png,dog", "none of its columns file, prediction"),
    "numbers of rows": ("id,file\n" + "".join(f"{i},{i}.png\n" for i in range(12)), "none of its columns id, file"),
    "no labels": ("file\na.png\nb.png", "cannot be read as a table"),
}


@pytest.mark.parametrize("layout", OPEN)
def test_what_is_open_is_refused(tmp_path, layout):
    text, said = OPEN[layout]
    with pytest.raises(CifarcoreError, match=f"^labels labels.csv: .*{said}"):
        read(tmp_path, text)


def test_labels_without_files_are_no_such_table(tmp_path):
    assert read(tmp_path, "cat\ndog\n") is None and read(tmp_path, "label\n0\n1\n") is None

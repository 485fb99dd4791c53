"""Scores in lists, in pairs with their classes, by rank and in long form are the same run, or refused: never others."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, same, taken
from made import made_run

from cifarcore.errors import CifarcoreError
from cifarcore.runs.formats import read_predictions


@pytest.fixture(scope="module")
def run():
    return made_run(6, 60)


@pytest.fixture
def table(run):
    return pd.DataFrame({"label": run.class_names[run.labels], "sample_id": run.sample_ids})


def printed(row):
    return str(np.array(row, np.float32))


CELLS = {
    "numpy's print": printed,
    "an array": lambda row: repr(np.array(row, np.float32)),
    "tensor's print": lambda row: f"tensor({json.dumps(list(row))}, device='cuda:0')",
    "NumPy's numbers": lambda row: str(list(row)),
    "Python's print": lambda row: str(list(map(float, row))),
    "JSON": lambda row: json.dumps(list(map(float, row))),
    "a batch of one": lambda row: json.dumps([list(map(float, row))]),
}


@pytest.mark.parametrize("form", CELLS)
def test_lists_as_text(run, table, scores, tmp_path, form):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(run.class_names))
    table.assign(probs=list(map(CELLS[form], scores))).to_csv(tmp_path / "x.csv", index=False)
    same(taken(tmp_path / "x.csv", tmp_path, class_names=str(names)).run, run)


@pytest.mark.parametrize("heading", ["probs", "anything"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_lists_of_a_data_frame(run, table, scores, tmp_path, heading, kind):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(run.class_names))
    table.assign(**{heading: list(scores.astype(kind))}).to_parquet(tmp_path / "x.parquet")
    same(taken(tmp_path / "x.parquet", tmp_path, class_names=str(names)).run, run)


def pipeline(run, scores, order):
    """What a classification pipeline gives for each image: classes with their scores, best first."""
    for row, places in zip(scores, order, strict=True):
        yield [{"label": str(run.class_names[place]), "score": float(row[place])} for place in places]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_classes_with_their_scores(run, table, scores, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    cells = list(pipeline(run, scores, np.argsort(-scores, axis=1)))
    write(table.assign(predictions=cells), path)
    same(taken(path, tmp_path).run, run)
    write(table.assign(predictions=[{cell["label"]: cell["score"] for cell in row} for row in cells]), path)
    same(taken(path, tmp_path).run, run)
    write(table.assign(predictions=[row[:5] for row in cells]), path)
    assert "holds 5 of at least 6 classes for an image; write the scores of all" in refused(path, tmp_path)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (
            lambda place, rank, score: {"index": rank, "class_id": place},
            "'index' and 'class_id' in 'predictions' may b",
        ),
        (lambda place, rank, score: {"label": f"c{place}", "class": f"c{(place + 1) % 6}"}, "may both name the class"),
        (lambda place, rank, score: {"score": score, "probability": 1 - score}, "may both be the score, and differ"),
        (lambda place, rank, score: {"index": rank}, ""),
        (lambda place, rank, score: {"index": rank + 1, "class_id": 100 + place, "category": "animal"}, ""),
        (lambda place, rank, score: {"score": score, "logit": np.log(score), "confidence": 1.0, "value": "a"}, ""),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_objects_with_two_names_of_a_class_or_two_scores(run, table, scores, tmp_path, beside, said, suffix):
    """The first name counted, as a rank before the class of three or four."""
    named = {} if said.startswith("'index'") else {"label": ""}
    cells = [
        [
            {key: str(run.class_names[place]) for key in named}
            | {"score": float(row[place])}
            | beside(int(place), rank, float(row[place]))
            for rank, place in enumerate(np.argsort(-row))
        ]
        for row in scores
    ]
    write(table.assign(predictions=cells), tmp_path / f"x{suffix}")
    if said:
        assert said in refused(tmp_path / f"x{suffix}", tmp_path)
    else:
        same(taken(tmp_path / f"x{suffix}", tmp_path).run, run)


def test_lists_beside_columns_of_other_scores_are_refused(run, table, scores, tmp_path):
    """As of two models: the lists were taken, the columns named as unused."""
    names = run.class_names.tolist()
    lists = table.assign(probs=scores.tolist())
    for beside in (scores, np.log(scores), scores[:, :3]):
        columns = pd.DataFrame(beside, columns=names[: beside.shape[1]])
        pd.concat([lists, columns], axis=1).to_parquet(tmp_path / "x.parquet")
        (tmp_path / "names.txt").write_text("\n".join(names))
        same(taken(tmp_path / "x.parquet", tmp_path, class_names=str(tmp_path / "names.txt")).run, run)
    pd.concat([lists, pd.DataFrame(np.roll(scores, 1, axis=1), columns=names)], axis=1).to_csv(
        tmp_path / "x.csv", index=False
    )
    assert "may both be the scores, and differ; keep one" in refused(tmp_path / "x.csv", tmp_path)


def test_ranks_with_two_names_that_differ_are_refused(run, table, scores, tmp_path):
    ranks = np.argsort(-scores, axis=1)
    parts = {"index": ranks, "label": run.class_names[ranks], "prob": np.take_along_axis(scores, ranks, 1)}

    def written(**others):
        table.rename(columns={"label": "truth"}).assign(
            **{name: list(part) for name, part in (parts | others).items()}
        ).to_parquet(tmp_path / "x.parquet")
        return tmp_path / "x.parquet"

    same(taken(written(), tmp_path).run, run)
    said = refused(written(index=np.where(np.arange(60)[:, None] < 3, (ranks + 1) % 6, ranks)), tmp_path)
    assert "'label' and 'index' may both name the classes, and differ; keep one" in said


def write(table, path):
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("named", ["index", "label"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_all_classes_by_rank(run, table, scores, tmp_path, separate, named, suffix):
    """As timm's inference.py writes them with --topk of all classes and --include-index or labels."""
    names = tmp_path / "names.txt"
    names.write_text("\n".join(run.class_names))
    ranks = np.argsort(-scores, axis=1)
    parts = {named: ranks if named == "index" else run.class_names[ranks], "prob": np.take_along_axis(scores, ranks, 1)}
    table = table.rename(columns={"label": "truth"})

    def written(k):
        if separate:
            columns = {f"{name}_{i}": part[:, i] for name, part in parts.items() for i in range(k)}
            given = pd.concat([table, pd.DataFrame(columns)], axis=1)
        else:
            given = table.assign(**{name: list(part[:, :k]) for name, part in parts.items()})
        write(given, tmp_path / f"x{suffix}")
        return tmp_path / f"x{suffix}"

    same(taken(written(6), tmp_path, class_names=str(names)).run, run)
    assert "holds 3 of at least 6 classes" in refused(written(3), tmp_path, class_names=str(names))


def test_scores_by_rank_without_their_classes_are_no_scores(run, table, scores, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(run.class_names))
    options = {"class_names": str(tmp_path / "names.txt")}
    ranked = pd.DataFrame(-np.sort(-scores, axis=1), columns=[f"prob_{i}" for i in range(6)])
    pd.concat([table, ranked], axis=1).to_csv(tmp_path / "x.csv", index=False)
    assert "sorted by rank, not by class" in refused(tmp_path / "x.csv", tmp_path, **options)
    np.save(tmp_path / "x.npy", ranked)
    assert "sorted by rank, not by class" in refused(tmp_path / "x.npy", tmp_path, **options)
    np.save(tmp_path / "x.npy", np.tile(ranked.to_numpy()[:1], (60, 1)))  # one class, whatever the image
    assert read_predictions(tmp_path / "x.npy").scores.shape == (60, 6)
    ranked.columns = run.class_names
    pd.concat([table, ranked], axis=1).to_csv(tmp_path / "x.csv", index=False)
    assert taken(tmp_path / "x.csv", tmp_path).run.n_images == 60, "columns with names are what these say"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_row_for_each_image_and_class(run, scores, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    rows = pd.DataFrame(
        {
            "sample_id": np.repeat(run.sample_ids, 6),
            "true_label": np.repeat(run.class_names[run.labels], 6),
            "class": np.tile(run.class_names, 60),
            "score": scores.ravel(),
            "rank": (-scores).argsort(axis=1).argsort(axis=1).ravel(),
        }
    ).sample(frac=1, random_state=0, ignore_index=True)
    write(rows, path)
    found = taken(path, tmp_path)
    same(found.run, run)
    assert "not used: 'rank'" in found.notes
    write(rows[rows["rank"] < 5], path)
    assert "holds 5 of at least 6 classes" in refused(path, tmp_path)
    write(rows.rename(columns={"class": "label"}), path)
    same(taken(path, tmp_path).run, run)


def read(tmp_path, cells, **columns):
    pd.DataFrame({**columns, "logits": cells}).to_csv(tmp_path / "x.csv", index=False)
    return read_predictions(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["[1, 2, 3]", "[1, 2]"], "'logits' has 2 numbers in row 1, but 3 in row 0"),
        (["[1 2 ... 3]"], "was shortened to '...' when row 0 was printed"),
        (["[1, 2]", "1"], "'logits' holds no list in row 1"),
        (["[1, two]"], "in row 0, which is no list of numbers"),
        (["[{'a': 1}]"], "hold no class and score; name them label and score"),
        (["[{'label': 'a', 'score': 1}, {'label': 'a', 'score': 0}]"], "names a class twice for one image"),
        (["[['x', 1], ['y', 2]]"], "no list of numbers"),
        (["[" * 5000 + "'a'"], "no list of numbers"),
        (["{'a': 0.1, 'b': 0.2, 'a': 0.7}"], "a cell names 1 of its 3 classes twice"),
        (["{0.1, 0.2}"], "no list of numbers"),  # a set has no order
        (["{'a': 0.1, 'b: 0.9}"], "no list of numbers"),
        (["[{'label': 'a', 'score': 0.5}, 7]"], "x.csv: not a readable csv file"),
    ],
)
def test_cells_that_do_not_fit(tmp_path, cells, said):
    with pytest.raises(CifarcoreError) as caught:
        read(tmp_path, cells)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", [repr, json.dumps])
def test_names_of_any_letters_in_a_dictionary_are_read_as_they_were_written(tmp_path, form):
    named = {
        "it's": 0.1,
        'say "no"': 0.2,
        "both ' and \"": 0.3,
        "back\\slash": 0.15,
        "line\nbreak": 0.05,
        "é: 1, 2": 0.2,
    }
    found = read(tmp_path, [form(named)])
    assert dict(zip(found.columns, found.scores[0].tolist(), strict=True)) == pytest.approx(named)
    assert read(tmp_path, [str({0: 0.25, 1: 0.75})]).scores.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("repeated", ["-1-1j,", "a<a,", "-", "~a,", "\\'", "'", "1 ", "[", "'a':", '"', "1:1,"])
def test_a_large_cell_that_is_no_dictionary_takes_little_memory(tmp_path, repeated):
    """Python's own reader of literals took seconds and a gigabyte for each of many such cells."""
    cell = "{" + repeated * ((1 << 20) // len(repeated)) + "}"
    pd.DataFrame({"logits": ["{'a': 0.5, 'b': 0.5}", cell]}).to_parquet(tmp_path / "x.parquet")
    tracemalloc.start()
    try:
        with pytest.raises(CifarcoreError):
            read_predictions(tmp_path / "x.parquet")
        assert tracemalloc.get_traced_memory()[1] < 250 << 20
    finally:
        tracemalloc.stop()


def test_lists_that_are_no_scores(tmp_path):
    """Beside columns of scores a list is something else, and two lists may both be the scores."""
    pd.DataFrame({"cat": [0.5], "dog": [0.5], "features": [[1.0, 2.0]]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(CifarcoreError, match="'features'"):
        read_predictions(tmp_path / "x.parquet")
    pd.DataFrame({"probs": [[0.5, 0.5]], "features": [[1.0, 2.0]]}).to_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(read_predictions(tmp_path / "x.parquet").scores, [[0.5, 0.5]])
    pd.DataFrame({"mine": [[0.5, 0.5]], "features": [[1.0, 2.0]]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(CifarcoreError, match="may all be the scores"):
        read_predictions(tmp_path / "x.parquet")

"""Columns and labels find their classes: by name, by number, or as the labels decide; else the file is refused."""

import json
import unicodedata

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run
from pictures import draw, plain
from scipy.special import softmax

from cifarcore.data.image_folder import in_natural_order, list_folder
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.class_names import Names, read_class_names, refuse_alike


@pytest.fixture
def numbered(tmp_path):
    """Folders called 0 to 11, which ImageFolder sorts 0, 1, 10, 11, 2, …"""
    return draw(tmp_path / "numbered", {str(c): [f"{i:03}.png" for i in range(4)] for c in range(12)})


HEADS = list(map(str, range(12)))


def table(made, headings, columns=None, **more):
    scores = made.probabilities if columns is None else made.probabilities[:, columns]
    return pd.DataFrame({"file": made.files} | more | dict(zip(headings, scores.T, strict=True)))


def natural(made):
    return [made.names.index(str(c)) for c in range(12)]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_numbered_columns_count_folders_named_by_numbers_as_labels_do(tmp_path, numbered, suffix, text):
    """Column 2 is the third folder, called 10, or the folder called 2; labels that count the folders decide."""
    path = tmp_path / f"theirs{suffix}"

    def written(labels, columns=None):
        given = [f"{label}" for label in labels] if text else labels
        if suffix == ".csv":
            table(numbered, HEADS, columns, label=given).to_csv(path, index=False)
        else:
            scores = numbered.probabilities if columns is None else numbered.probabilities[:, columns]
            np.savez(path, labels=given, path=numbered.files, probs=scores)
        return path

    written(numbered.labels)
    for order in ("", "imagefolder"):
        numbered.check(taken(path, tmp_path, images=str(numbered.root), order=order).run)
    by_name = np.array([int(file.split("/")[0]) for file in numbered.files])
    for columns, order, listed in ((natural(numbered), "natural", HEADS), (None, "imagefolder", numbered.names)):
        written(by_name, columns)  # these labels name the folders; the columns may still count them
        assert "the columns have numbers, and" in refused(path, tmp_path, images=str(numbered.root))
        (tmp_path / "names.txt").write_text("\n".join(listed))
        names = str(tmp_path / "names.txt")
        numbered.check(taken(path, tmp_path, images=str(numbered.root), class_names=names).run)
        if suffix == ".npz":
            numbered.check(taken(path, tmp_path, images=str(numbered.root), order=order).run)


def test_numbered_columns_of_numbered_folders_are_refused_without_labels(tmp_path, numbered):
    path = tmp_path / "theirs.csv"
    table(numbered, HEADS).to_csv(path, index=False)
    said = refused(path, tmp_path, images=str(numbered.root))
    assert "the columns have numbers, and the folder numbered has the classes 0, 1, 10, … in this order or in" in said
    names = tmp_path / "names.txt"
    for listed, columns in ((numbered.names, None), (HEADS, natural(numbered))):
        names.write_text("\n".join(listed))
        table(numbered, HEADS, columns).to_csv(path, index=False)
        numbered.check(taken(path, tmp_path, images=str(numbered.root), class_names=str(names)).run)
    names.write_text("\n".join(numbered.names))
    order = np.random.default_rng(0).permutation(12)
    labelled = table(numbered, [HEADS[c] for c in order], order, label=numbered.labels)
    for frame in (labelled, labelled.assign(label=[file.split("/")[0] for file in numbered.files])):
        frame.to_csv(path, index=False)  # headings out of order may be names, whatever the labels count
        for options in ({}, {"order": "imagefolder"}, {"class_names": str(names)}):
            said = refused(path, tmp_path, images=str(numbered.root), **options)
            assert "give --class-names FILE with the lines 0, 1, 2, … if each heading is the name of its class" in said
    lines = tmp_path / "numbers.txt"
    lines.write_text("\n".join(HEADS))
    named = table(numbered, [HEADS[c] for c in order], [numbered.names.index(HEADS[c]) for c in order])
    named.to_csv(path, index=False)
    numbered.check(taken(path, tmp_path, images=str(numbered.root), class_names=str(lines)).run)
    few = [row for row, label in enumerate(numbered.labels) if label < 2]  # of which both readings are right
    table(numbered, HEADS, label=numbered.labels).iloc[few].to_csv(path, index=False)
    assert "the columns have numbers, and" in refused(path, tmp_path, images=str(numbered.root))


def test_columns_without_names_count_the_classes_of_a_folder_in_one_of_two_orders(tmp_path):
    """timm sorts class2 before class10, and ant before Zebra."""
    for name, classes in (("numbers", ["class1", "class10", "class2"]), ("capitals", ["Zebra", "ant", "bee"])):
        made = draw(tmp_path / name, {each: ["1.png", "2.png", "3.png"] for each in classes})
        natural = {"numbers": [0, 2, 1], "capitals": [1, 2, 0]}[name]
        path = tmp_path / f"{name}.npz"
        options = dict(images=str(made.root))
        scores = made.probabilities[:, natural]
        np.savez(path, probs=scores, path=made.files)
        said = refused(path, tmp_path, **options)
        assert "--order imagefolder (this order) or natural (that of numbers)" in said
        made.check(taken(path, tmp_path, **options, order="natural").run)
        np.savez(path, probs=made.probabilities, path=made.files)
        made.check(taken(path, tmp_path, **options, order="imagefolder").run)
        np.savez(path, probs=scores, path=made.files, labels=np.argsort(natural)[made.labels])
        assert "labels" in refused(path, tmp_path, **options, order="imagefolder")  # which count the other order
        made.check(taken(path, tmp_path, **options).run)
        np.savez(path, probs=made.probabilities, path=made.files, labels=made.labels)
        made.check(taken(path, tmp_path, **options).run)


def test_a_stated_order_is_doubted_where_the_columns_have_names_too(tmp_path):
    made = draw(
        tmp_path / "shapes", {f"class{c}": [f"{i}.png" for i in range(2, n)] for c, n in ((1, 22), (2, 22), (10, 62))}
    )
    _, rows = in_natural_order(list_folder(made.root))
    sure = 0.1 + 0.7 * np.eye(3)[made.labels]
    path, options = tmp_path / "theirs.csv", dict(images=str(made.root))
    pd.DataFrame(sure[rows], columns=made.names).to_csv(path, index=False)
    doubted = [note for note in taken(path, tmp_path, **options, order="imagefolder").notes if "would be 1.0" in note]
    assert len(doubted) == 1 and doubted[0].endswith("is --order natural theirs?")
    assert not any("would be" in note for note in taken(path, tmp_path, **options, order="natural").notes)


def test_labels_that_fit_another_order_of_the_files_as_well_do_not_confirm_the_one_that_is_stated(tmp_path):
    made = draw(tmp_path / "pictures", {name: [f"{i}.png" for i in range(1, 12)] for name in ("ant", "bee")})
    path, options = tmp_path / "theirs.npz", dict(images=str(made.root))
    said = (
        "--order natural would give the same labels but other pictures, and the labels cannot tell which is right: "
        "check the order"
    )
    np.savez(path, probs=made.probabilities, labels=made.labels)
    assert said in taken(path, tmp_path, **options, order="imagefolder").notes
    np.savez(path, probs=made.probabilities, labels=made.labels, path=made.files)
    assert said not in taken(path, tmp_path, **options, order="imagefolder").notes
    uneven = draw(tmp_path / "uneven", {f"class{c}": [f"{i}.png" for i in range(1, c + 8)] for c in (2, 10)})
    np.savez(path, probs=uneven.probabilities, labels=uneven.labels)
    assert said not in taken(path, tmp_path, images=str(uneven.root), order="imagefolder").notes


@pytest.mark.parametrize("files", [True, False])
def test_a_stated_order_that_the_other_one_beats_is_doubted(tmp_path, files):
    """The option is believed, but not in silence: of files it counts the classes, of rows without files both.

    Of these it shows where classes are not of one size: else both orders have the same accuracy.
    """
    made = draw(
        tmp_path / "shapes", {f"class{c}": [f"{i}.png" for i in range(2, n)] for c, n in ((1, 22), (2, 22), (10, 62))}
    )
    folder = list_folder(made.root)
    names, rows = in_natural_order(folder)
    sure = 0.1 + 0.7 * np.eye(3)[made.labels]
    sure[::7] = 0.1 + 0.7 * np.eye(3)[0]
    by_number = [made.names.index(name) for name in names]
    path, options = tmp_path / "theirs.npz", dict(images=str(made.root))
    for order, right in (("natural", "imagefolder"), ("imagefolder", "natural")):
        place = rows if right == "natural" else np.arange(len(made.files))
        columns = by_number if right == "natural" else slice(None)
        more = {"path": np.array(made.files)[place]} if files else {}
        np.savez(path, probs=sure[place][:, columns], **more)
        (said,) = [note for note in taken(path, tmp_path, **options, order=order).notes if f"--order {right}" in note]
        best = sure.argmax(axis=1) == made.labels
        assert f"the accuracy would be {best.mean():.4f}, not" in said
        assert not any("would be" in note for note in taken(path, tmp_path, **options, order=right).notes)


def test_labels_of_another_class_order_are_told_from_rows_of_another_order(tmp_path):
    made = plain(tmp_path / "pictures", classes=4)
    order = np.array([2, 0, 3, 1])
    place = np.argsort(order)
    path = tmp_path / "theirs.npz"
    np.savez(path, probs=made.probabilities[:, order], labels=place[made.labels])
    said = refused(path, tmp_path, images=str(made.root))
    assert "so the file counts the classes in another order: give --class-names FILE" in said
    (tmp_path / "names.txt").write_text("\n".join(made.names[c] for c in order))
    made.check(taken(path, tmp_path, images=str(made.root), class_names=str(tmp_path / "names.txt")).run)
    np.savez(path, probs=made.probabilities, labels=np.roll(made.labels, 1))
    said = refused(path, tmp_path, images=str(made.root))
    assert "bring the rows into its order, or name their pictures in an array or a column file; or" in said
    assert "--order rows --test-set NAME alone" in said and "--class-names" not in said
    options = dict(order="rows", test_set="theirs", class_names=str(tmp_path / "names.txt"))
    (tmp_path / "names.txt").write_text("\n".join(made.names))
    assert taken(path, tmp_path, **options).run.labels.tolist() == np.roll(made.labels, 1).tolist()


def test_labels_that_may_be_the_models_answers_are_doubted(tmp_path):
    made = plain(tmp_path / "pictures")
    answers = made.probabilities.argmax(axis=1)
    answers[:16] = made.labels[:16]
    path = tmp_path / "theirs.csv"
    made.frame(file=made.files, label=[made.names[c] for c in answers]).to_csv(path, index=False)
    said = refused(path, tmp_path, images=str(made.root))
    assert "give each file its own label; if 'label' is the model's answer, call it prediction" in said


@pytest.mark.parametrize("headings", [None, ["1", "2", "3"]])
def test_classes_that_count_from_one(tmp_path, headings):
    made = plain(tmp_path / "pictures")
    path = tmp_path / "theirs.csv"
    more = {"file": made.files, "label": made.labels + 1}
    pd.DataFrame(more | dict(zip(headings or made.names, made.probabilities.T, strict=True))).to_csv(path, index=False)
    assert "--first-class 1" in refused(path, tmp_path, images=str(made.root))
    made.check(taken(path, tmp_path, images=str(made.root), first_class=1).run)
    last = made.labels < 2
    np.savez(tmp_path / "theirs.npz", probs=made.probabilities[last], files_=0, path=np.array(made.files)[last],
             labels=made.labels[last] + 1)  # fmt: skip
    assert "they count from 1: use --first-class 1" in refused(tmp_path / "theirs.npz", tmp_path, images=str(made.root))


def test_labels_that_are_no_class_are_counted_without_those_of_the_first_class(tmp_path):
    made = plain(tmp_path / "pictures")
    names = [made.names[c] for c in made.labels]
    names[-1] = "a yeti"
    np.savez(tmp_path / "theirs.npz", probs=made.probabilities, path=made.files, labels=names)
    said = refused(tmp_path / "theirs.npz", tmp_path, images=str(made.root))
    assert f"1 of {len(names)} labels are not class names (such as 'a yeti')" in said


def test_classes_that_differ_by_case_alone(tmp_path):
    made = draw(tmp_path / "letters", {name: ["1.png", "2.png"] for name in "aAbB"})
    np.save(tmp_path / "theirs.npy", made.probabilities)
    made.check(taken(tmp_path / "theirs.npy", tmp_path, images=str(made.root), order="imagefolder").run)
    path = tmp_path / "theirs.csv"
    made.frame(file=made.files)[["file", "b", "A", "B", "a"]].to_csv(path, index=False)
    made.check(taken(path, tmp_path, images=str(made.root)).run)
    table(made, ["A", "B", "a ", "B_"]).to_csv(path, index=False)
    assert "unknown name (such as 'B_')" in refused(path, tmp_path, images=str(made.root))
    table(made, made.names, sample_id=made.ids, label=[made.names[c] for c in made.labels]).to_csv(path, index=False)
    made.check(taken(path, tmp_path).run)  # the labels tell them apart


def test_names_in_either_of_unicodes_spellings(tmp_path):
    composed = ["café", "naïve", "über"]
    made = draw(tmp_path / "words", {unicodedata.normalize("NFD", name): ["1.png", "2.png"] for name in composed})
    path = tmp_path / "theirs.csv"
    files = [unicodedata.normalize("NFC", file) for file in made.files]
    pd.DataFrame({"file": files} | dict(zip(composed, made.probabilities.T, strict=True))).to_csv(path, index=False)
    run = taken(path, tmp_path, images=str(made.root)).run
    made.check(run)
    labels = np.array(composed)[made.labels]
    table(made, composed, sample_id=made.ids, label=labels).drop(columns="file").to_csv(path, index=False)
    other = taken(path, tmp_path).run
    pair = align(run, other)
    assert not pair.partial and pair.b.class_names.tolist() == run.class_names.tolist()
    np.testing.assert_array_equal(pair.a.predictions, pair.b.predictions)


def test_readable_names_beside_those_of_the_folders(tmp_path):
    ids = ["n01443537", "n01629819", "n01641577"]
    readable = ["goldfish, Carassius auratus", "European fire salamander", "bullfrog"]
    made = draw(tmp_path / "pictures", {name: ["1.png", "2.png"] for name in ids})
    path = tmp_path / "theirs.csv"
    order = [2, 0, 1]
    table(made, [readable[c] for c in order], order).to_csv(path, index=False)
    assert "name the others by --class-names FILE" in refused(path, tmp_path, images=str(made.root))
    for name, listed in (("ids.txt", ids), ("readable.txt", readable)):
        (tmp_path / name).write_text("\n".join(listed))
        said = refused(path, tmp_path, images=str(made.root), class_names=str(tmp_path / name))
        assert "--class-names FILE (both names of a class on one line, with a tab between)" in said
    pairs = list(zip(ids, readable, strict=True))
    for name, text in (
        ("pairs.csv", pd.DataFrame(reversed(pairs)).to_csv(index=False, header=False)),
        ("pandas.csv", pd.DataFrame(pairs, columns=["wnid", "name"]).to_csv()),
        ("excel.csv", "id;description\r\n" + "\r\n".join(";".join(pair) for pair in pairs)),
        ("unquoted.csv", "\n".join(",".join(pair) for pair in pairs)),
        ("names.tsv", "\n".join("\t".join(pair) for pair in reversed(pairs))),
        ("synset_words.txt", "\n".join(" ".join(pair) for pair in pairs)),
        ("imagenet_class_index.json", json.dumps({str(i): pair for i, pair in enumerate(pairs)})),
        ("names.json", json.dumps(dict(pairs))),
    ):
        (tmp_path / name).write_text(text)
        made.check(taken(path, tmp_path, images=str(made.root), class_names=str(tmp_path / name)).run)


def test_class_names_as_text_or_json(tmp_path):
    for name, text, expected in (
        ("a.txt", "cat\n dog \n", [("cat",), ("dog",)]),
        ("a.json", '["cat", "dog"]', [("cat",), ("dog",)]),
        ("b.json", '{"1": "dog", "0": "cat"}', [("cat",), ("dog",)]),
        ("c.json", '{"dog": 1, "cat": 0}', [("cat",), ("dog",)]),
        ("d.json", '{"n1": "cat", "n2": "dog"}', [("n1", "cat"), ("n2", "dog")]),
        ("e.tsv", "n1\tcat\nn2\tdog\n", [("n1", "cat"), ("n2", "dog")]),
    ):
        (tmp_path / name).write_text(text)
        assert read_class_names(str(tmp_path / name)) == expected
    for text in ("[]", "7", '{"a": [1]}', '{"0": []}', "{", "[[]]", "null"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(CifarcoreError, match="bad.json: no list of class names"):
            read_class_names(str(tmp_path / "bad.json"))
    (tmp_path / "twice.txt").write_text("cat\ndog\ncat\n")
    with pytest.raises(CifarcoreError, match="class 'cat' is there twice"):
        read_class_names(str(tmp_path / "twice.txt"))


def test_more_classes_than_the_test_set_has(tmp_path):
    made = plain(tmp_path / "pictures")
    rng = np.random.default_rng(0)
    wide = softmax(np.hstack([np.log(made.probabilities), rng.normal(-1, 1, (24, 2))]), axis=1)
    heads = [*made.names, "reject", "other"]
    order = [3, 1, 4, 0, 2]
    path = tmp_path / "theirs.csv"
    pd.DataFrame({"file": made.files} | {heads[c]: wide[:, c] for c in order}).to_csv(path, index=False)
    said = refused(path, tmp_path, images=str(made.root))
    assert "2 unknown names (such as 'reject'); --classes shared keeps the classes that both have" in said
    found = taken(path, tmp_path, images=str(made.root), classes="shared")
    made.check(found.run)  # the probabilities of the classes that are left sum to one
    assert "left out: 2 columns of classes that the test set lacks" in found.notes
    made.frame(file=made.files, epoch=12).to_csv(path, index=False)  # no class and no probability
    assert "1 unknown name (such as 'epoch'); --classes shared" in refused(path, tmp_path, images=str(made.root))
    made.check(taken(path, tmp_path, images=str(made.root), classes="shared").run)
    np.save(tmp_path / "theirs.npy", wide[:, order])
    said = refused(tmp_path / "theirs.npy", tmp_path, images=str(made.root))
    assert "5 columns of scores, but the folder pictures has 3 classes" in said and "--classes shared" in said
    (tmp_path / "names.txt").write_text("\n".join(heads[c] for c in order))
    made.check(
        taken(
            tmp_path / "theirs.npy", tmp_path, images=str(made.root), classes="shared",
            class_names=str(tmp_path / "names.txt"),
        ).run
    )  # fmt: skip


def test_fewer_classes_than_the_test_set_has(tmp_path):
    made = plain(tmp_path / "pictures", classes=4, each=6)
    path = tmp_path / "theirs.csv"
    part = made.probabilities[:, [2, 0]]
    part /= part.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"file": made.files, made.names[2]: part[:, 0], made.names[0]: part[:, 1]})
    kept = np.isin(made.labels, [0, 2])
    for rows in (np.ones(len(kept), bool), kept):
        frame[rows].to_csv(path, index=False)
        assert "2 missing (such as 'class 1'); --classes shared" in refused(path, tmp_path, images=str(made.root))
        found = taken(path, tmp_path, images=str(made.root), classes="shared")
        run = found.run
        assert run.class_names.tolist() == ["class 0", "class 2"]
        assert sorted(run.sample_ids.tolist()) == sorted(made.ids[kept].tolist())
        expected = dict(zip(made.ids[kept].tolist(), part[kept][:, ::-1].tolist(), strict=True))
        for sample_id, logits in zip(run.sample_ids.tolist(), run.logits.astype(float), strict=True):
            np.testing.assert_allclose(softmax(logits), expected[sample_id], atol=2e-3)
        said = "left out: 12 images of classes that the columns lack" in found.notes
        assert said == rows.all()


def test_probabilities_of_which_some_classes_were_cut_away(tmp_path):
    made = plain(tmp_path / "pictures")
    path = tmp_path / "theirs.csv"
    rest = np.random.default_rng(0).uniform(0.01, 0.9, (len(made.files), 1))
    table(made, made.names).assign(**dict(zip(made.names, (rest * made.probabilities).T, strict=True))).to_csv(
        path, index=False
    )
    said = refused(path, tmp_path, images=str(made.root))
    assert "do not sum to one" in said and "or --classes shared if columns of other classes were left out" in said
    found = taken(path, tmp_path, images=str(made.root), classes="shared")
    made.check(found.run)
    assert any("divided by their sum" in note for note in found.notes)
    over = made.probabilities * np.linspace(1.1, 2, len(made.files))[:, None]
    table(made, made.names).assign(**dict(zip(made.names, over.T, strict=True))).to_csv(path, index=False)
    for scores in ("auto", "probabilities"):  # more than one is no part
        assert not any("divided" in note for note in _notes(path, tmp_path, images=str(made.root), scores=scores))


def _notes(path, tmp_path, **options):
    try:
        return taken(path, tmp_path, classes="shared", **options).notes
    except CifarcoreError:
        return ()


def test_names_are_told_apart_only_where_they_differ_in_more_than_spelling():
    names = Names([("cat", "Felis"), ("Dog",), ("DOG", "Canis"), ("crane",), ("crane bird", "crane")])
    assert names.places(["CAT", "felis", "Dog", "DOG", "dog", "canis", "crane", "Crane_Bird", "yeti"]).tolist() == [
        *(0, 0, 1, 2, -1, 2, -1, 4, -1)
    ]
    refuse_alike(["a", "A", "b"], ["A", "a"])
    for columns, apart in ((["a", "A"], ["a"]), (["a", "A"], []), (["a", "a"], ["a"])):
        with pytest.raises(CifarcoreError, match="are the same name"):
            refuse_alike(columns, apart)


def test_runs_whose_classes_are_spelled_otherwise_are_aligned():
    from dataclasses import replace

    run = replace(made_run(3, 30, superclasses=False), class_names=np.array(["café", "ice_cream", "Tea"]))
    spelled = replace(run, class_names=np.array([unicodedata.normalize("NFD", "café"), "Ice cream", "tea"]))
    pair = align(run, spelled)
    assert pair.b.class_names.tolist() == run.class_names.tolist() and not pair.partial
    apart = replace(run, class_names=np.array(["tea", "ice_cream", "Tea"]))
    assert align(apart, apart).b is apart

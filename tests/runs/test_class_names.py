"""Names of classes, what labels mean by them, and what a message quotes of names that do not fit."""

import json

import numpy as np
import pytest

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.errors import CifarcoreError
from cifarcore.runs import class_names, classes
from cifarcore.runs.layout import MAX_CLASSES

LONG = "x" * 59 + "yz"  # of which a message quotes 60 characters
QUOTED = repr(LONG[:60])


def message_of(function, *arguments):
    with pytest.raises(CifarcoreError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_name_is_found_as_it_is_written_else_by_what_tells_no_two_apart():
    known = class_names.names_of(("oak tree", "Sea", "dog", "Dog"))
    names = ("OAK_tree", "oak.tree", "sea", "dog", "Dog", "DOG", "yeti")
    assert known.places(names).tolist() == [0, 0, 1, 2, 3, -1, -1], "dog and Dog differ in capitals alone"
    several = class_names.Names([("tench", "n01"), ("carp", "n02", "tench ")])
    assert [several.place(name) for name in ("n02", "Carp", "n01", "tench")] == [1, 1, 0, -1]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("names.txt", lambda names: "\n".join(names)),
        ("names.csv", lambda names: "\n".join(f"{number},{name}" for number, name in enumerate(names))),
        ("names.json", json.dumps),
    ],
)
def test_a_list_of_more_class_names_than_a_run_can_have_is_refused_at_once(tmp_path, name, write):
    path = tmp_path / name
    names = [f"n{number}" for number in range(MAX_CLASSES + 1)]
    path.write_text(write(names[:-1]))
    assert len(class_names.read_class_names(str(path))) == MAX_CLASSES
    path.write_text(write(names))
    assert message_of(class_names.read_class_names, str(path)) == (
        f"{name}: {len(names):,} class names; at most {MAX_CLASSES:,} are read"
    )


@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_a_list_of_class_names_of_great_length_is_not_taken_apart(tmp_path, suffix):
    path = tmp_path / f"names.{suffix}"
    path.write_text("," * (class_names.MOST_CHARACTERS + 1))
    assert "characters; no list of class names has as many" in message_of(class_names.read_class_names, str(path))


def test_columns_that_are_numbered():
    assert class_names.are_numbers(("2", "0", "1")) and class_names.are_numbers(("2", "3", "1"), 1)
    for columns in (("0", "2"), ("0", "0"), ("1", "2"), ("0", "x"), ("0", "-1"), ("0" * 10, "1")):
        assert not class_names.are_numbers(columns)


def check(said, known, whose="mine", **options):
    classes._check(class_names.names_of(known).places(said), said, known, whose, ImportConfig(**options))


def test_columns_stand_for_names_in_any_order():
    known = ("oak tree", "Sea", "dog")
    assert class_names.names_of(known).places(("DOG", "oak_tree", "sea")).tolist() == [2, 0, 1]
    check(("DOG", "oak_tree", "sea"), known)


def test_names_that_do_not_fit_are_counted_and_one_of_each_is_quoted():
    known = ("cat", LONG)
    assert message_of(check, (LONG + "!", "cat", "yeti"), known) == (
        f"the class names do not fit mine 2 classes: 2 unknown names (such as {QUOTED}), 1 missing (such as {QUOTED}); "
        "name the others by --class-names FILE (both names of a class on one line, with a tab between)"
    )
    assert f"2 classes: 1 missing (such as {QUOTED}); name the others" in message_of(check, ("cat",), known)
    shared = message_of(check, ("cat", "yeti", LONG), known)
    assert shared.endswith("1 unknown name (such as 'yeti'); --classes shared keeps the classes that both have")
    check(("cat", "yeti", LONG), known, classes="shared")
    assert "1 missing" in message_of(lambda *args: check(*args, classes="shared"), ("cat", "yeti"), known)


def test_labels_are_names_or_count_the_files_own_order():
    own, names = ("dog", "cat", "sea"), ("cat", "dog", "sea")
    assert class_names.indices(np.array(["Dog", "cat", "dog"]), own, names).tolist() == [1, 0, 1]
    for numbers in (np.array([0, 1, 2]), np.array(["0", "1", "2"])):
        assert class_names.indices(numbers, own, names).tolist() == [1, 0, 2]
    for bad, said in (([0, 3], "label 3 is outside 0..2"), ([2, -1], "label -1 is outside 0..2")):
        assert message_of(class_names.indices, np.array(bad), own, names) == f"{said}; labels count from 0"
    assert message_of(class_names.indices, np.array(["0", "9" * 30]), own, names).startswith("label 2147483648 is")


def test_labels_that_are_no_names_are_counted_and_the_first_is_quoted():
    given = np.array(["cat", LONG, "yeti"] * 1000)
    assert message_of(class_names.indices, given, ("cat", "dog"), ("cat", "dog")) == (
        f"2,000 of 3,000 labels are not class names (such as {QUOTED})"
    )


def test_two_spellings_of_one_name_are_quoted_unless_the_labels_tell_them_apart():
    names = ("cat", LONG.upper(), LONG)
    said = f"classes {LONG.upper()[:60]!r} and {QUOTED} are the same name; names must differ"
    assert message_of(class_names.refuse_alike, names) == said
    assert message_of(class_names.refuse_alike, names, [LONG]) == said
    class_names.refuse_alike(names, [LONG, LONG.upper()])
    assert "same name" in message_of(class_names.refuse_alike, ("cat", "cat"), ["cat"])

    twice = ("cat", LONG.upper(), LONG.upper())
    said = f"classes {LONG.upper()[:60]!r} and {LONG.upper()[:60]!r} are the same name; names must differ"
    assert message_of(check, twice, ("cat", LONG)) == said


def test_cifar100_is_known_by_its_names():
    theirs = tuple(name.replace("_", "-").upper() for name in reversed(cifar100.CLASS_NAMES))
    assert class_names.canonical(theirs) == cifar100.CLASS_NAMES
    assert class_names.canonical(theirs[1:]) == theirs[1:]
    found = class_names.superclasses(cifar100.CLASS_NAMES)
    assert found["superclass_names"].tolist() == list(cifar100.SUPERCLASS_NAMES)
    assert found["superclass_of"].tolist() == list(cifar100.SUPERCLASS_OF)
    assert class_names.superclasses(("a", "b")) == {}


def test_superclasses_of_a_file_come_before_those_known(tmp_path):
    path = tmp_path / "kin.csv"
    path.write_text("Class, Superclass\na_b,z\n\nC, y \n")
    found = class_names.superclasses(("c", "a b"), str(path), {"c": "other", "a b": "other"})
    assert found["superclass_names"].tolist() == ["y", "z"] and found["superclass_of"].tolist() == [0, 1]
    known = class_names.superclasses(("c", "a b"), known={"c": "q", "a b": "p"})
    assert known["superclass_names"].tolist() == ["p", "q"] and known["superclass_of"].tolist() == [1, 0]
    for text, said in (
        ("a b,z\nc\n", "kin.csv: a line is not CLASS,SUPERCLASS; give both, with a comma between"),
        ("a b,z,y\nc,y\n", "kin.csv: a line is not CLASS,SUPERCLASS; give both, with a comma between"),
        ("a b,z\nc,\n", "kin.csv: 1 of 2 classes have no superclass (such as 'c')"),
        ("class,superclass\n", "kin.csv: 2 of 2 classes have no superclass (such as 'c')"),
    ):
        path.write_text(text)
        assert message_of(class_names.superclasses, ("c", "a b"), str(path)) == said


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("names.txt", "oak tree\nsea\n", [("oak tree",), ("sea",)]),
        ("names.tsv", "n01\toak tree\nn02\tsea\t\n", [("n01", "oak tree"), ("n02", "sea")]),
        ("names.csv", '"oak, tree",n01\nsea,n02\n', [("oak, tree", "n01"), ("sea", "n02")]),
        ("numbered.csv", "index,name\n1,sea\n0,oak\n", [("oak",), ("sea",)]),
        ("from_one.csv", "nr;tree\n2;sea\n1;oak\n", [("oak",), ("sea",)]),
        ("headed.csv", ",wnid,name\n0,n01,oak\n1,n02,sea\n", [("n01", "oak"), ("n02", "sea")]),
        ("headed_alone.csv", "class_name\noak\nsea\n", [("oak",), ("sea",)]),
        ("classes.csv", '"Class Names"\n"oak"\n"sea"\n', [("oak",), ("sea",)]),
        ("two.csv", "name\nwords\n", [("name",), ("words",)]),
        ("quoted.csv", '"oak, tree"\n"sea"\n', [("oak, tree",), ("sea",)]),
        (
            "uneven.csv",
            "n01443537,goldfish, a fish\nn01629819,newt\n",
            [("n01443537", "goldfish, a fish"), ("n01629819", "newt")],
        ),
        ("empty.csv", ",\n", [(",",)]),
        ("long.csv", "x" * 200_000, [("x" * 200_000,)]),
        ("commas.csv", "oak, tree\nsea\n", [("oak, tree",), ("sea",)]),
        ("list.json", '["oak", ["sea", "ocean"]]', [("oak",), ("sea", "ocean")]),
        ("index.json", '{"1": ["n02", "sea"], "0": ["n01", "oak"]}', [("n01", "oak"), ("n02", "sea")]),
        ("numbers.json", '{"sea": 1, "oak": 0}', [("oak",), ("sea",)]),
        ("words.json", '{"n01": "oak", "n02": "sea"}', [("n01", "oak"), ("n02", "sea")]),
    ],
)
def test_names_of_each_class_are_read_in_the_order_of_a_file(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text)
    assert class_names.read_class_names(str(path)) == expected


@pytest.mark.parametrize(("name", "text"), [("twice.json", '["oak", "sea", "oak"]'), ("twice.txt", "oak\nsea\noak\n")])
def test_a_class_that_is_named_twice_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    said = message_of(class_names.read_class_names, str(tmp_path / name))
    assert said == f"{name}: class 'oak' is there twice; names must differ"


def test_a_table_of_scores_is_no_list_of_class_names(tmp_path):
    (tmp_path / "scores.csv").write_text("file,oak,sea\na.png,0.25,7.5e-1\n")
    said = message_of(class_names.read_class_names, str(tmp_path / "scores.csv"))
    assert said.startswith("scores.csv: a table of scores, not of class names; give a line for each class, with all")

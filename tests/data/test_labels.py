from collections import Counter

from cifarcore.data.cifar100 import CLASS_NAMES, SUPERCLASS_NAMES, SUPERCLASS_OF, SUPERCLASSES


def test_a_hundred_classes_in_alphabetical_order():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 100
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)
    assert (CLASS_NAMES[0], CLASS_NAMES[23], CLASS_NAMES[99]) == ("apple", "cloud", "worm")


def test_twenty_superclasses_of_five():
    assert len(SUPERCLASS_NAMES) == 20
    assert set(Counter(SUPERCLASS_OF).values()) == {5}
    for name, group in zip(CLASS_NAMES, SUPERCLASS_OF, strict=True):
        assert name in SUPERCLASSES[SUPERCLASS_NAMES[group]]


def test_superclass_map_is_the_published_one():
    """The coarse label of each fine label as it stands in the data set's own files."""
    published = """
         4  1 14  8  0  6  7  7 18  3  3 14  9 18  7 11  3  9  7 11
         6 11  5 10  7  6 13 15  3 15  0 11  1 10 12 14 16  9 11  5
         5 19  8  8 15 13 14 17 18 10 16  4 17  4  2  0 17  4 18 17
        10  3  2 12 12 16 12  1  9 19  2 10  0  1 16 12  9 13 15 13
        16 19  2  4  6 19  5  5  8 19 18  1  2 15  6  0 17  8 14 13
    """
    assert list(SUPERCLASS_OF) == [int(number) for number in published.split()]

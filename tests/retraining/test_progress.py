"""How far a job is, by the lines that it reported."""

import pytest

from cifarcore.retraining.progress import Progress


def learning(**numbers):
    return {"phase": "learning", "at": 100.0, **numbers}


@pytest.mark.parametrize(
    ("last", "share"),
    [
        ({"phase": "starting", "at": 1.0}, 0.0),
        ({"phase": "caching", "done": 30.0, "total": 120.0}, 0.25),
        ({"phase": "caching", "done": 3.0}, 1.0),
        (learning(fraction=0.4, done=9.0, total=10.0), 0.4),
        (learning(fraction=1.5), 1.0),
        (learning(fraction=-0.5), 0.0),
        (learning(), 0.0),
        ({"phase": "evaluating", "done": 0.5, "total": 0.5}, 0.5),
        ({"phase": "writing", "at": 1.0}, 1.0),
    ],
)
def test_how_much_of_the_phase_is_done(last, share):
    assert Progress((learning(fraction=0.9), last)).share == share


def test_seconds_left_run_down_since_they_were_reported():
    progress = Progress((learning(left=60.0),))
    assert progress.seconds_left(100.0) == 60.0 and progress.seconds_left(112.5) == 47.5
    assert progress.seconds_left(200.0) == 0.0
    assert Progress((learning(left=60.0), learning())).seconds_left(100.0) is None
    assert Progress().seconds_left(100.0) is None and Progress().share == 0.0


def test_the_last_line_of_the_learning():
    one, two, scoring = learning(step=1.0), learning(step=2.0), {"phase": "evaluating", "at": 110.0}
    assert Progress((one, two, scoring)).learning is two and Progress((scoring,)).learning is None

"""What is computed of runs is computed once: the one cache of results, for pages, reports and notebooks alike.

Knows no Streamlit. Results are shared between threads, so they are read-only by agreement. Other caches: `loaded_run`
and st.cache_resource of files, known by their time; `cached_property` of an object, which lives as long as that does.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
from cachetools import LRUCache, cached
from scipy.sparse import issparse

from cifarcore.memory import memory_bytes
from cifarcore.runs.alignment import AlignedPair
from cifarcore.runs.run import Run

MOST_RESULTS = 512
#: of each cache of runs and results
MOST_BYTES = memory_bytes() // 8


def memo(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, computed once for all sessions and shared: never change what it returns.

    Runs (alone, in a tuple or list, or in an AlignedPair) are known by their digest and by their name, which results
    tell; one that was never saved by itself. Other arguments must be hashable. `function` is a module's own (no
    lambda), so that its name tells it apart.
    """
    return _remembered(function, arguments)[1]


def is_kept(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether `memo` has this result at hand."""
    with _remembered.cache_condition:
        return _remembered.cache_key(function, arguments) in _remembered.cache


def remember(result: Any, function: Callable[..., Any], *arguments: Any) -> None:
    """Have `memo` return `result` for these, which is what the function returned before."""
    with _remembered.cache_condition:
        _remembered.cache[_remembered.cache_key(function, arguments)] = list(_never_saved(arguments)), result


def _key(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Hashable:
    return (function.__module__, function.__qualname__, tuple(_known_by(argument) for argument in arguments))


def size_of(value: Any) -> int:
    """About how many bytes a result takes: the arrays and tables in it, wherever they are."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if issparse(value):
        return value.data.nbytes + value.indices.nbytes + value.indptr.nbytes
    if isinstance(value, pd.DataFrame):
        return int(value.memory_usage(deep=False).sum())
    if isinstance(value, dict):
        return 100 + sum(map(size_of, value.values()))
    if isinstance(value, (list, tuple)):
        return 100 + sum(map(size_of, value))
    if is_dataclass(value):
        return 100 + sum(size_of(getattr(value, field.name)) for field in fields(value))
    return 100


class _Results(LRUCache):
    """At most MOST_RESULTS results, of at most MOST_BYTES together; what is larger alone is not kept."""

    def __init__(self) -> None:
        super().__init__(MOST_BYTES, getsizeof=size_of)

    def __setitem__(self, key: Hashable, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > MOST_RESULTS:
            self.popitem()


# two sessions that ask for the same result at the same moment compute it once: the second waits
@cached(_Results(), key=_key, condition=threading.Condition())
def _remembered(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    # with the runs known by themselves alone, so that no other gets the id of a forgotten one
    return list(_never_saved(arguments)), function(*arguments)


def _never_saved(argument: Any) -> Iterator[Run]:
    if isinstance(argument, Run):
        yield from () if argument.digest else (argument,)
    elif isinstance(argument, (list, tuple)):
        for item in argument:
            yield from _never_saved(item)
    elif isinstance(argument, AlignedPair):
        yield from _never_saved((argument.a, argument.b))


def _known_by(argument: Any) -> Hashable:
    if isinstance(argument, Run):
        return (str(argument.digest), argument.name) if argument.digest else id(argument)  # which keeps no run alive
    if isinstance(argument, AlignedPair):
        return (_known_by(argument.a), _known_by(argument.b))
    if isinstance(argument, (list, tuple)):
        return tuple(_known_by(item) for item in argument)
    return argument

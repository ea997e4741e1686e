"""Lists as parameters of statements."""

from collections.abc import Collection
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")


def pad(values: Collection[T]) -> list[T]:
    """`values` for a condition with IN, the last one repeated until there are a power of two of them.

    A list of another length makes another statement, which the driver prepares and keeps: SQLite needs tens of
    kilobytes for one that claims turns, and keeps 128 for each connection. Padded, the lists have few lengths.
    """
    padded = list(values)
    if padded:
        padded.extend(repeat(padded[-1], (1 << (len(padded) - 1).bit_length()) - len(padded)))
    return padded

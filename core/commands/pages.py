"""Divides long lists into pages with buttons to turn them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.port import Button

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    number: int
    """From 0."""
    count: int

    def buttons(self, action_for_page: Callable[[int], str]) -> tuple[Button, ...]:
        """Back, the page's number, forward. No two buttons have the same action."""
        if self.count == 1:
            return ()
        here = Button(f"{self.number + 1}/{self.count}", action_for_page(self.number))
        forward = Button("▶", action_for_page((self.number + 1) % self.count))
        if self.count == 2:
            return here, forward
        return Button("◀", action_for_page((self.number - 1) % self.count)), here, forward


def paginate(items: Sequence[T], number: int, page_size: int) -> Page[T]:
    """Page `number` of `items`, counted round: the one after the last is the first."""
    count = max(1, -(-len(items) // page_size))
    number %= count
    return Page(items[number * page_size : (number + 1) * page_size], number, count)

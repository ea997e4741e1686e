"""MathML of the formulas in what a bot sent, as trees from which the page builds elements."""

from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element

MAX_TEX_CHARS = 4_000
MAX_FORMULAS = 200
"""Of one message."""
EXPRESSION = "mathematical_expression"

Tree = tuple[str, dict[str, str], "list[Tree | str]"]


def formulas_of(rich_message: object) -> dict[str, Tree]:
    """The formulas of a rich message by their TeX. One that cannot be converted is left out."""
    trees: dict[str, Tree] = {}
    for tex in _expressions(rich_message):
        if len(trees) >= MAX_FORMULAS:
            break
        if tex not in trees and (tree := _convert(tex)) is not None:
            trees[tex] = tree
    return trees


def _expressions(value: Any) -> Iterator[str]:
    """The TeX of all formulas anywhere in the blocks."""
    if isinstance(value, dict):
        if value.get("type") == EXPRESSION and isinstance(value.get("expression"), str):
            yield value["expression"]
        for child in value.values():
            yield from _expressions(child)
    elif isinstance(value, list):
        for child in value:
            yield from _expressions(child)


@lru_cache(maxsize=500)
def _convert(tex: str) -> Tree | None:
    if len(tex) > MAX_TEX_CHARS:
        return None
    try:
        return _tree(convert_to_element(tex))
    except Exception:  # noqa: BLE001 (the library raises anything for TeX that it does not know)
        return None


def _tree(element: Element) -> Tree:
    # The library writes signs as references (&#x0003D;), which its own output resolves only as text.
    children: list[Tree | str] = [unescape(element.text)] if element.text else []
    for child in element:
        children.append(_tree(child))
        if child.tail:
            children.append(unescape(child.tail))
    attributes = {name: value for name, value in element.attrib.items() if name != "xmlns"}
    return element.tag, attributes, children

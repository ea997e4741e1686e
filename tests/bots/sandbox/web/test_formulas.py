"""MathML for the page."""

from typing import Any

from bots.sandbox.web.formulas import formulas_of


def texts(tree: Any) -> list[str]:
    return [text for child in tree[2] for text in ([child] if isinstance(child, str) else texts(child))]


def test_signs_are_characters_and_not_references() -> None:
    blocks = [{"type": "mathematical_expression", "expression": r"\int_0^1 x \le \alpha"}]
    (tree,) = formulas_of(blocks).values()
    assert texts(tree) == ["∫", "0", "1", "x", "≤", "α"]


def test_formula_that_cannot_be_read_has_no_mathml() -> None:
    assert formulas_of({"type": "mathematical_expression", "expression": r"\frac"}) == {}

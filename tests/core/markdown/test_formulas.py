"""Formulas as text, on every platform; what text cannot show is code."""

import pytest
from telegram import MessageEntity

from core.markdown.plain_text import to_plain_text
from tests.bots.formatted_text import discord_text, discord_texts, telegram_part, telegram_texts, terminal_text
from tests.core.markdown.samples import parse_markdown

CASES = {
    r"$\frac{a}{b}$": "a/b",
    r"A $\rightarrow$ B": "A → B",
    r"\(\geq\)": "≥",
    r"$\alpha$, $\beta_1$ and $\Omega$": "α, β₁ and Ω",
    r"$x^2 + y_{10}$": "x² + y₁₀",
    r"\[\sqrt{2} \approx 1.41\]": "√2 ≈ 1.41",
    "$$\n\\sum_{i=1}^n i = \\frac{n(n+1)}{2}\n$$": "∑ᵢ₌₁ⁿ i = n(n+1)/2",
    "\\[\n\\int_0^1 x\\,dx\n\\]": "∫₀¹ x dx",
    "Then $$E = mc^2$$ holds": "Then E = mc² holds",
    "- item $n \\in \\mathbb{N}$": "• item n ∈ ℕ",
    "1. Then:\n   $$\n   x^2\n   $$\n2. Next": "1. Then:\n   x²\n2. Next",
    "> $a \\to b$": "a → b",
    "| n |\n|---|\n| $x^2$ |": "n\n--\nx²",
    "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}": "a = b\nc = d",
    "The answer is $42$, not $-7$ or $1.5$.": "The answer is 42, not -7 or 1.5.",
    "It costs $5 and $6": "It costs $5 and $6",
    "$5 and $6": "$5 and $6",
    "Between $5 and $6, or $7.50 to $8": "Between $5 and $6, or $7.50 to $8",
    "$20k–$30k, US$5/month, $1,000.00": "$20k–$30k, US$5/month, $1,000.00",
    "export X=$HOME/bin:$PATH": "export X=$HOME/bin:$PATH",
}
"""What Telegram shows, which has no marks in its text."""


@pytest.mark.parametrize("text", CASES)
def test_formula_is_text(text: str) -> None:
    expected = CASES[text]
    assert telegram_part(text).text == expected
    shown = [line.split() for line in terminal_text(text).replace("•", "").splitlines() if line.strip()]
    lines = [line.replace("•", "").split() for line in expected.split("\n")]
    is_table = text[0] == "|"
    assert is_table or [words for line in shown for words in line if words not in ("1", "2", "▌")] == [
        word for line in lines for word in line if word not in ("1.", "2.")
    ]
    for line in expected.split("\n"):
        assert line.removeprefix("• ").strip() in discord_text(text).replace("\\", "")
    assert not telegram_texts(text, MessageEntity.CODE)


@pytest.mark.parametrize("tex", [r"\underbrace{a+b}_{c}", r"\unknown{x}", r"\frac{a}"])
def test_other_formula_is_code(tex: str) -> None:
    assert telegram_texts(f"See ${tex}$.", MessageEntity.CODE) == [tex]
    assert discord_text(f"See ${tex}$.") == f"See `{tex}`."
    assert telegram_texts(f"$$\n{tex}\n$$", MessageEntity.PRE) == [tex]
    assert discord_texts(f"$$\n{tex}\n$$", "```") == [f"tex\n{tex}\n".replace("\\", "")]
    assert tex in terminal_text(f"See \\({tex}\\).")


def test_formula_cannot_act() -> None:
    text = r"$\text{@everyone <@1> [a](http://x) **b**}$"
    assert discord_text(text) == r"\@everyone \<@1> \[a\](<http://x>) \*\*b\*\*"


def test_growing_formula_stays_tex_until_it_ends() -> None:
    text = "$$\n\\frac{a}{b}\n$$"
    shown = {to_plain_text(parse_markdown(text[:end])) for end in range(5, len(text))}
    assert all(formula.startswith(("\\", "$$")) for formula in shown)
    assert to_plain_text(parse_markdown(text)) == "a/b"

"""Tokens that end an answer: removed at the very end of it, kept everywhere else."""

import pytest

from core.api.end_tokens import END_TOKENS, EndTokenFilter

KEPT = (
    "Write <|im_end|> at the end.",
    "`</s>`",
    "```html\n<s>old\n</s>",
    "```\n<|im_end|>",
    "The price is <s>10</s>",
    "a < b",
    "a <|im_en",
    "a<|im_end|><|im_",
    "</div>",
    "1 <",
)


def filtered(text: str, size: int) -> str:
    tokens = EndTokenFilter()
    pieces = [tokens.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join(pieces) + tokens.flush()


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("token", END_TOKENS)
def test_end_token_is_removed(token: str, size: int) -> None:
    for end in (token, f"{token}\n", f"{token}{token}", f"{token}\n</s> ", f"<{token}"):
        text = "Yes, a < b, `x`.\n\n```\n1\n```\n"
        kept = "<" if end.startswith("<<") else ""
        assert filtered(text + end, size) == text + kept


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("text", KEPT)
def test_other_text_is_kept(text: str, size: int) -> None:
    assert filtered(text, size) == text


def test_token_after_struck_text_is_removed() -> None:
    assert filtered("Was <s>10</s><|im_end|>", 1) == "Was <s>10</s>"
    assert filtered("<s>1</s>\n2</s>", 1) == "<s>1</s>\n2"


def test_text_is_not_delayed() -> None:
    tokens = EndTokenFilter()
    assert tokens.feed("a <b") == "a <b"
    assert tokens.feed("c <|im") == "c "
    assert tokens.buffered_chars == 4
    assert tokens.feed("x") == "<|imx"
    assert tokens.feed("</s>") == ""
    assert tokens.release() == "</s>"


def test_endless_tokens_are_not_all_buffered() -> None:
    tokens = EndTokenFilter()
    for _ in range(1000):
        tokens.feed("</s>")
    assert tokens.buffered_chars <= 400

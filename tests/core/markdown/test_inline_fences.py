"""Fences that do not stand alone on their line: behind a text, behind code, before a text."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from bots.terminal.dialect import TerminalDialect
from core.delivery.splitter import Splitter
from core.markdown.document import (
    Block,
    CodeBlock,
    CodeSpan,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Quote,
    Strong,
    Text,
)
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, RichMode
from tests.core.markdown.samples import parse_markdown


def text(content: str) -> Paragraph:
    return Paragraph((Text(content),))


BOLD_END = Paragraph((Text("Then "), Strong((Text("stop"),)), Text(".")))
SHELL = CodeBlock("ls -l", "sh")
CASES: dict[str, tuple[Block, ...]] = {
    "Run this: ```sh\nls -l\n```\n\nThen **stop**.": (text("Run this:"), SHELL, BOLD_END),
    "**Run**\nthis: ```\nls -l\n```": (*parse_markdown("**Run**\nthis:").blocks, CodeBlock("ls -l")),
    "Don`t ```sh\nls -l\n```\nThen **stop**.": (text("Don`t"), SHELL, BOLD_END),
    "`a` ````sh\nls -l\n````\nThen **stop**.": (*parse_markdown("`a`").blocks, SHELL, BOLD_END),
    "# Run ```sh\nls -l\n```\nThen **stop**.": (Heading(1, (Text("Run"),)), SHELL, BOLD_END),
    "> Run ```sh\n> ls -l\n> ```\n\nThen **stop**.": (Quote((text("Run"), SHELL)), BOLD_END),
    "```sh\nls -l```\n\nThen **stop**.": (SHELL, BOLD_END),
    "```js\nf(`${a}`);\n}```\n\nThen **stop**.": (CodeBlock("f(`${a}`);\n}", "js"), BOLD_END),
    "```py\nprint('a')```\n\nThen **stop**.": (CodeBlock("print('a')", "py"), BOLD_END),
    "```sh\nls -l\n``` Then **stop**.": (SHELL, BOLD_END),
    "```sh\nls -l\n```Then **stop** now please": (SHELL, *parse_markdown("Then **stop** now please").blocks),
    "```sh\nls -l\n```. Then go": (SHELL, text(". Then go")),
    "```sh\nls -l\n```。然后停": (SHELL, text("。然后停")),
    "~~~sh\nls -l\n~~~ done": (SHELL, text("done")),
    "Answer: ```\nx\n``` done": (text("Answer:"), CodeBlock("x"), text("done")),
    "A: ```\nx\n``` and B: ```\ny\n``` and C": (
        text("A:"),
        CodeBlock("x"),
        text("and B:"),
        CodeBlock("y"),
        text("and C"),
    ),
    "1. a ```sh\nls -l\n```\n2. b": (ListBlock((ListItem((text("a"), SHELL)), ListItem((text("b"),))), 1),),
    "- a ```sh\n  ls -l\n  ``` c\n- b": (ListBlock((ListItem((text("a"), SHELL, text("c"))), ListItem((text("b"),)))),),
    "```markdown\nRun: ```sh\nls\n```\nEnd\n```\nThen **stop**.": (
        CodeBlock("Run: ```sh\nls\n```\nEnd", "markdown"),
        BOLD_END,
    ),
    "Then **stop**.\n``` done": (BOLD_END, text("done"), CodeBlock("")),
    "``` done\n```\nThen **stop**.": (text("done"), CodeBlock(""), BOLD_END),
    "```bash\n```\nThen **stop**.": (CodeBlock("", "bash"), BOLD_END),
    "1. ```sh\n   ls -l```\n2. b": (ListBlock((ListItem((SHELL,)), ListItem((text("b"),))), 1),),
    "<details>\nRun ```sh\nls -l\n</details>\nThen **stop**.": (
        Quote((text("Run"), SHELL), is_collapsed=True),
        BOLD_END,
    ),
}
FENCES_AFTER_MENTIONS = (
    'Use the "```" marker',
    "Use the (```) marker",
    "Use ```) as a marker",
    "Type ```sh to begin:",
    "Open ```, then:",
    "Begin it with ```sh",
    "Begin it with: ```",
)
UNCHANGED = (
    "Run ```ls``` and ```pwd```\n\nNext",
    "Fences are `` ``` ``\n\nNext",
    "Type \\```\nNext",
    "Open with ```\n\nNext",
    "- Open with ```\n- Close with ```\n- Next",
    "End it with ```\n```py\nx\n```",
    "Close the block with ```.\nThen write text.\n\n- list **b**",
    "Close the block with ```v1.\nThen write text.",
    "A fence is written ```\nThat is three backticks.\n\nMore **text**.",
    "The fence (```python\n) is\n\nNext",
    "1. Open the text with ```bash\n2. Then\n3. Done",
    "- Start the text with ```python\n- Write code\n- End with ```",
    "- Text in ```js\n- Text in ```py\n- done",
    "Use ```npm\ninstall``` to install.\n\nNext **b**",
    "Text in ```a``` and ```b\nc``` d",
    "Text:```python\nx = 1```After",
)
CODE = (
    "/// ```\n/// let x = 5;\n/// ```\nfn f() {}",
    " * ```\n * f()\n * ```",
    's = """```\ncode\n```"""',
    "cmd = ```\nls",
    "``` sh\nx\n```",
    "x = ```a```\ny",
    "```py title=a.py b c\nx\n```",
    "//! ```\n//! use foo;\n//! ```\n\npub fn f() {}",
    ";; ```\n\nx",
    "% ```\n\nx",
    "REM ```\n\nx",
    "> ```\n\nx",
    "// ends with ```\n\nx",
    "# the model's answer ends with ```\n\nx",
    "# the model's answer ends with```\n\nx",
    "//!```\n\nx",
    "echo ```\n\nx",
    "Wrap your code in ```\n\nx",
    "Some text ends.```\nmore",
    "=>```\n\nx",
)
DIALECTS: tuple[Dialect, ...] = (
    TelegramDialect(),
    DiscordDialect(),
    TerminalDialect(),
    RichDialect(RichMode.AUTO),
    RichDialect(RichMode.ALWAYS),
    TelegramDialect(120),
    DiscordDialect(120),
)


@pytest.mark.parametrize("source", CASES)
def test_fence_on_a_line_with_text_opens_and_closes_a_block(source: str) -> None:
    assert parse_markdown(source).blocks == CASES[source]


@pytest.mark.parametrize("source", UNCHANGED)
def test_mention_of_a_fence_opens_no_block(source: str) -> None:
    first, *_ = parse_markdown(source).blocks
    assert not isinstance(first, CodeBlock)
    assert "ext" in to_plain_text(parse_markdown(source)) or source.endswith("```py\nx\n```")
    assert not any(isinstance(block, CodeBlock) and block.text != "x" for block in parse_markdown(source).blocks)


def test_code_span_in_three_backticks_may_cross_a_line_break() -> None:
    (first, second) = parse_markdown("Use ```npm\ninstall``` to install.\n\nNext **b**").blocks
    assert first == Paragraph((Text("Use "), CodeSpan("npm install"), Text(" to install.")))
    assert second == Paragraph((Text("Next "), Strong((Text("b"),))))


@pytest.mark.parametrize("mention", FENCES_AFTER_MENTIONS)
def test_fence_after_a_mention_of_one_opens_a_block(mention: str) -> None:
    blocks = parse_markdown(f"{mention}\n```\nls -l\n```\nThen **stop**.").blocks
    assert blocks == (text(mention), CodeBlock("ls -l"), BOLD_END)


@pytest.mark.parametrize("code", CODE)
def test_code_that_mentions_fences_is_one_block(code: str) -> None:
    assert parse_markdown(f"```python\n{code}\n```\n\nAfter").blocks == (CodeBlock(code, "python"), text("After"))


def test_code_span_may_end_with_a_fence_on_its_own_line() -> None:
    (paragraph,) = parse_markdown("Use ```x = 1\ny = 2\n```\nThen **stop**.").blocks
    assert to_plain_text(parse_markdown("Use ```x = 1\ny = 2\n```\nThen **stop**.")).endswith("Then stop.")
    assert isinstance(paragraph, Paragraph)
    assert Strong((Text("stop"),)) in paragraph.children


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: f"{type(dialect).__name__} {dialect.limit}")
@pytest.mark.parametrize("source", CASES)
def test_every_dialect_shows_the_same_parts_while_the_text_grows(dialect: Dialect, source: str) -> None:
    source = f"{'Some words before it. ' * 8}\n\n{source}\n\nAnd **after** it."
    whole, growing = Splitter(dialect).update(source), Splitter(dialect)
    for end in range(len(source)):
        closed = growing.update(source[:end], is_growing=True)[:-1]
        assert closed == whole[: len(closed)]
    assert growing.update(source) == whole
    assert growing.failure is None
    shown = "".join(part.text for part in whole)
    assert "after" in shown
    assert isinstance(dialect, (DiscordDialect, TerminalDialect)) or "```" not in shown or "Run: ```" in source

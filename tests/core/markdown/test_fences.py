"""Fenced code as models write it: documents with fences, and code that is not indented like its list item."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.terminal.dialect import TerminalDialect
from core.delivery.splitter import Splitter
from core.markdown.document import Block, CodeBlock, ListBlock, ListItem, Paragraph, Quote, Text
from core.port import Dialect
from tests.core.markdown.samples import parse_markdown

DOCUMENT = """# Title

```json
{"a": 1}
```

- step

  ```bash
  ls
  ```

Bare:

```
npm start
```

The end."""
CODE = "def f(x):\n    if x:\n        return 1\n\n    return 2"


def blocks(text: str) -> tuple[Block, ...]:
    return parse_markdown(text).blocks


def indent(text: str, width: int) -> str:
    return "".join(" " * width * bool(line.strip()) + line for line in text.splitlines(keepends=True))


@pytest.mark.parametrize("language", ["markdown", "md", "Markdown"])
@pytest.mark.parametrize("fence", ["```", "````", "~~~"])
def test_document_with_fences_is_one_block(language: str, fence: str) -> None:
    text = f"{fence}{language}\n{DOCUMENT}\n{fence}\n\nAfter"
    if fence == "~~~":
        text = text.replace("```", "~~~")
    document, after = blocks(text)
    assert document == CodeBlock(DOCUMENT.replace("```", fence) if fence == "~~~" else DOCUMENT, language)
    assert after == Paragraph((Text("After"),))


def test_code_with_quoted_fences_is_one_block() -> None:
    code = 'PROMPT = """\n```json\n{}\n```\n"""'
    assert blocks(f"```python\n{code}\n```\nAfter") == (CodeBlock(code, "python"), Paragraph((Text("After"),)))


def test_indented_fences_in_docstring_are_code() -> None:
    code = 'def f():\n    """\n    ```\n    f()\n    ```\n    """'
    assert blocks(f"```python\n{code}\n```") == (CodeBlock(code, "python"),)


@pytest.mark.parametrize("between", ["", "\n", "\nand\n\n"])
def test_consecutive_blocks_stay_separate(between: str) -> None:
    found = blocks(f"```py\nx\n```\n{between}```json\ny\n```\n{between}```\nz\n```")
    assert [block for block in found if isinstance(block, CodeBlock)] == [
        CodeBlock("x", "py"),
        CodeBlock("y", "json"),
        CodeBlock("z"),
    ]


def test_document_ends_before_text() -> None:
    assert blocks("```markdown\n# A\n\n```\n\nText") == (CodeBlock("# A\n", "markdown"), Paragraph((Text("Text"),)))


def test_forgotten_closing_fence_opens_no_inner_block() -> None:
    assert blocks("```bash\na\n```bash\nb\n```\nText")[-1] == Paragraph((Text("Text"),))


@pytest.mark.parametrize("marker", ["-", "1.", "10)"])
@pytest.mark.parametrize("code_indent", [0, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("blank_line", ["", "\n"])
@pytest.mark.parametrize("closing_indent", [0, 3])
def test_fence_in_item_keeps_content_and_language(
    marker: str, code_indent: int, blank_line: str, closing_indent: int
) -> None:
    width = max(len(marker) + 1, code_indent)
    text = f"{marker} item\n{blank_line}{' ' * width}```python\n{indent(CODE, code_indent)}\n"
    text += " " * closing_indent + f"```\n{marker.replace('1', '2')} next"
    found = blocks(text)
    lists = [block for block in found if isinstance(block, ListBlock)]
    assert lists[0].items[0].children[1] == CodeBlock(CODE, "python")
    assert lists[-1].items[-1].children == (Paragraph((Text("next"),)),)


def test_unclosed_fence_ends_with_its_item() -> None:
    (found,) = blocks("- a\n  ```py\n  x\n- b")
    assert isinstance(found, ListBlock)
    assert len(found.items) == 2


@pytest.mark.parametrize("dialect", [TelegramDialect(150), DiscordDialect(150)])
@pytest.mark.parametrize("start", ["", "- item\n  ", "1. item\n   "])
def test_parts_of_document_stay_one_block_each(dialect: Dialect, start: str) -> None:
    document = "".join(f"Text {n}.\n```json\n[{n}]\n```\n" for n in range(60))
    text = f"{start}```markdown\n{document}{' ' * len(start.rpartition(chr(10))[2])}```\n\nAfter"
    parts = Splitter(dialect).update(text)
    assert len(parts) > 5
    shown = [part.text.replace("\u200b", "") for part in parts]
    assert "".join("".join(shown).split()).count("```json") >= 59
    whole = "\n".join(shown)
    assert all(f"Text {n}." in whole and f"[{n}]" in whole for n in range(60))
    if isinstance(dialect, DiscordDialect):
        for part in parts[:-1]:
            assert part.text.count("```") == 2
            assert part.text.endswith("```")
        assert parts[-1].text.endswith("After")
    else:
        for part in parts[:-1]:
            entity = part.native["entities"][-1]  # type: ignore[index]
            assert entity.language == "markdown"
            assert entity.offset + entity.length == len(part.text)


@pytest.mark.parametrize("dialect", [TelegramDialect(120), DiscordDialect(120)])
@pytest.mark.parametrize("width", [0, 1, 3, 5])
def test_parts_of_code_in_item_keep_indentation(dialect: Dialect, width: int) -> None:
    code = "".join(f"if a{n}:\n    b{n}()\n        # {n}\n" for n in range(40))
    text = f"1. item\n   ```py\n{indent(code, width)}   ```\n2. next"
    if width > 3:
        text = text.replace("   ```", "     ```")
    lines = "\n".join(part.text for part in Splitter(dialect).update(text)).split("\n")
    assert [line for line in lines if not line.startswith(("`", "1.", "2.")) and line] == code.splitlines()


def test_no_code_ends_block_on_discord() -> None:
    for code in ("```", "a ``` b", "`````", "x``````y", "``"):
        text = DiscordDialect().render(parse_markdown(f"``````````\n{code}\n``````````")).text
        assert text.startswith("```\n")
        assert text.endswith("\n```")
        assert text.count("```") == 2
        assert text.replace("\u200b", "") == f"```\n{code}\n```"


def test_terminal_shows_inner_fences() -> None:
    part = TerminalDialect().render(parse_markdown(f"```markdown\n{DOCUMENT}\n```"))
    assert part.text == f"````markdown\n{DOCUMENT}\n````"


def test_code_block_in_containers_is_read_at_every_length() -> None:
    text = "> - ```\n>   alpha\n>   ```"
    for end in range(1, len(text) + 1):
        assert parse_markdown(text[:end]).blocks
    (quote,) = parse_markdown(text).blocks
    assert quote == Quote((ListBlock((ListItem((CodeBlock("alpha"),)),)),))

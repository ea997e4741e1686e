"""Rich messages: checks of `InputRichMessage`, and their JSON and text as clients get them.

Markdown and HTML are refused: bots of this project send typed blocks. So are media, maps and buttons.
"""

from collections.abc import Callable, Iterator
from typing import Any

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.entities import utf16_length
from bots.sandbox.telegram.errors import ApiError, bad_request
from bots.sandbox.telegram.state import RichMessage

MAX_CHARS = 32_768
MAX_BLOCKS = 500
"""List items and table rows count, too."""
MAX_DEPTH = 16
MAX_TABLE_COLUMNS = 20
HEADING_SIZES = range(1, 7)
MARKUP_TYPES = frozenset(
    {"bold", "italic", "underline", "strikethrough", "spoiler", "code", "marked", "subscript", "superscript"}
)
URL_SCHEMES = ("http://", "https://", "mailto:", "tg://", "tel:")
HORIZONTAL, VERTICAL = frozenset({"left", "center", "right"}), frozenset({"top", "middle", "bottom"})
LABEL_TYPES = frozenset({"a", "A", "i", "I", "1"})
TEXT_BLOCKS = frozenset({"paragraph", "footer", "thinking"})


def parse_rich_message(value: object, *, is_draft: bool = False) -> RichMessage:
    """The content of a request. Raises `ApiError`."""
    if not isinstance(value, dict):
        raise _refusal("InputRichMessage must be an Object")
    if unknown := value.keys() - {"blocks", "html", "markdown", "media", "is_rtl", "skip_entity_detection"}:
        raise _refusal(f"unknown field {min(unknown)}")
    if sum(name in value for name in ("blocks", "html", "markdown")) != 1:
        raise _refusal("exactly one of html, markdown and blocks must be used")
    if "blocks" not in value:
        raise _refusal("text with markup is unsupported here")
    for name in ("is_rtl", "skip_entity_detection"):
        if not isinstance(value.get(name, False), bool):
            raise _refusal(f'field "{name}" must be of type Boolean')
    reader = _BlockReader(is_draft=is_draft)
    blocks = reader.blocks(value["blocks"], 1)
    if not blocks:
        raise bad_request("rich message must be non-empty")
    if reader.chars > MAX_CHARS:
        raise bad_request("rich message is too long")
    if reader.count > MAX_BLOCKS:
        raise bad_request("rich message has too many blocks")
    return RichMessage(blocks, draw_blocks(blocks), value.get("is_rtl") is True)


def _refusal(detail: str) -> ApiError:
    return bad_request(f"can't parse InputRichMessage: {detail}")


class _BlockReader:
    """Checks blocks, and returns them as clients receive them."""

    def __init__(self, *, is_draft: bool) -> None:
        self._is_draft = is_draft
        self.chars = 0
        self.count = 0

    def blocks(self, value: object, depth: int) -> list[Json]:
        if not isinstance(value, list):
            raise _refusal("expected an Array of InputRichBlock")
        return [self._block(block, depth) for block in value]

    def _block(self, block: object, depth: int) -> Json:
        if not isinstance(block, dict):
            raise _refusal("InputRichBlock must be an Object")
        _check_depth(depth)
        self.count += 1
        kind = block.get("type")
        read = {
            "heading": self._heading,
            "pre": self._pre,
            "mathematical_expression": self._expression,
            "divider": lambda _block, _depth: {},
            "list": self._list,
            "blockquote": self._quote,
            "details": self._details,
            "table": self._table,
        }.get(str(kind))
        if kind in TEXT_BLOCKS and (kind != "thinking" or self._is_draft):
            read = self._text_block
        if read is None:
            raise _refusal(f"block of type {kind} is unsupported")
        return {"type": kind, **_only(block, read(block, depth), "type")}

    def _text_block(self, block: Json, depth: int) -> Json:
        return {"text": self._visible_text(block, "text", depth)}

    def _heading(self, block: Json, depth: int) -> Json:
        if block.get("size") not in HEADING_SIZES:
            raise _refusal("wrong heading size")
        return {"text": self._visible_text(block, "text", depth), "size": block["size"]}

    def _pre(self, block: Json, depth: int) -> Json:
        language = {"language": _string(block, "language")} if "language" in block else {}
        return {"text": self._visible_text(block, "text", depth), **language}

    def _expression(self, block: Json, _depth: int) -> Json:
        return {"expression": self._string(block, "expression")}

    def _quote(self, block: Json, depth: int) -> Json:
        return {"blocks": self._content(block, depth + 1)}

    def _details(self, block: Json, depth: int) -> Json:
        is_open = {"is_open": True} if _flag(block, "is_open") else {}
        summary = self._visible_text(block, "summary", depth)
        return {"summary": summary, "blocks": self._content(block, depth + 1), **is_open}

    def _content(self, block: Json, depth: int) -> list[Json]:
        blocks = self.blocks(block.get("blocks"), depth)
        if not blocks:
            raise _refusal("a block has no content")
        return blocks

    def _list(self, block: Json, depth: int) -> Json:
        items = block.get("items")
        if not isinstance(items, list) or not items:
            raise _refusal("a list has no items")
        return {"items": [self._item(item, depth + 1) for item in items]}

    def _item(self, item: object, depth: int) -> Json:
        if not isinstance(item, dict):
            raise _refusal("InputRichBlockListItem must be an Object")
        self.count += 1
        checked: Json = {"blocks": self._content(item, depth + 1)}
        checked |= {name: True for name in ("has_checkbox", "is_checked") if _flag(item, name)}
        if "value" in item:
            if type(item["value"]) is not int or item.get("type", "1") not in LABEL_TYPES:
                raise _refusal("wrong label of a list item")
            checked |= {"value": item["value"], "type": item.get("type", "1")}
        label = f"{item['value']}." if "value" in item else "•"
        return {"label": label, **_only(item, checked)}

    def _table(self, block: Json, depth: int) -> Json:
        rows = block.get("cells")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) and row for row in rows):
            raise _refusal("a table has no cells")
        if max(map(len, rows)) > MAX_TABLE_COLUMNS:
            raise _refusal("a table has too many columns")
        self.count += len(rows)
        flags = {name: True for name in ("is_bordered", "is_striped", "is_compact") if _flag(block, name)}
        return {"cells": [[self._cell(cell, depth + 1) for cell in row] for row in rows], **flags}

    def _cell(self, cell: object, depth: int) -> Json:
        if not isinstance(cell, dict):
            raise _refusal("RichBlockTableCell must be an Object")
        if cell.get("align") not in HORIZONTAL or cell.get("valign") not in VERTICAL:
            raise _refusal("wrong alignment of a table cell")
        checked = {"align": cell["align"], "valign": cell["valign"]}
        if "text" in cell:
            checked["text"] = self.text(cell["text"], depth)
        return _only(cell, checked | ({"is_header": True} if _flag(cell, "is_header") else {}))

    # Text

    def _string(self, fields: Json, name: str) -> str:
        text = _string(fields, name)
        if not text.strip():
            raise _refusal(f'field "{name}" must be non-empty')
        self.chars += utf16_length(text)
        return text

    def _visible_text(self, fields: Json, name: str, depth: int) -> Any:
        text = self.text(fields.get(name), depth)
        if not draw_text(text).strip():
            raise _refusal(f'field "{name}" must be non-empty')
        return text

    def text(self, value: Any, depth: int) -> Any:
        """A `RichText`."""
        _check_depth(depth)
        match value:
            case str():
                self.chars += utf16_length(value)
                return value
            case list():
                return [self.text(part, depth) for part in value]
            case {"type": "mathematical_expression"}:
                fields: Json = {"expression": self._string(value, "expression")}
            case {"type": "url"}:
                fields = {"text": self.text(value.get("text"), depth + 1), "url": _string(value, "url")}
                if not fields["url"].startswith(URL_SCHEMES):
                    raise bad_request("wrong HTTP URL specified")
            case {"type": kind} if kind in MARKUP_TYPES:
                fields = {"text": self.text(value.get("text"), depth + 1)}
            case _:
                raise _refusal(f"rich text of type {value.get('type') if isinstance(value, dict) else value}")
        return {"type": value["type"], **_only(value, fields, "type")}


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _refusal("blocks are nested too deeply")


def _only(given: Json, read: Json, *more: str) -> Json:
    """`read`, if nothing else was given."""
    if unknown := given.keys() - read.keys() - {*more, "has_checkbox", "is_checked", "is_header"}:
        raise _refusal(f"unknown field {min(unknown)}")
    return read


def _string(fields: Json, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _refusal(f'field "{name}" must be of type String')
    return value


def _flag(fields: Json, name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise _refusal(f'field "{name}" must be of type Boolean')
    return value


# Drawing


def draw_blocks(blocks: list[Json]) -> str:
    """The blocks in a terminal."""
    return "\n\n".join(_draw(block) for block in blocks)


def _draw(block: Json) -> str:
    return DRAWINGS[block["type"]](block)


def draw_text(text: Any) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, list):
        return "".join(map(draw_text, text))
    if text["type"] == "mathematical_expression":
        return str(text["expression"])
    shown = draw_text(text["text"])
    return f"{shown} ({text['url']})" if text["type"] == "url" and text["url"] != shown else shown


def _draw_details(block: Json) -> str:
    return f"▾ {draw_text(block['summary'])}\n{_prefix(draw_blocks(block['blocks']), '  ')}"


def _draw_list(block: Json) -> str:
    return "\n".join(map(_draw_item, block["items"]))


def _draw_item(item: Json) -> str:
    mark = item["label"]
    if item.get("has_checkbox"):
        mark += " ☑" if item.get("is_checked") else " ☐"
    content = "\n".join(map(_draw, item["blocks"]))
    return f"{mark} {_prefix(content, '   ').lstrip()}"


def _draw_table(block: Json) -> str:
    rows = [[draw_text(cell.get("text", "")).strip().replace("\n", " / ") for cell in row] for row in block["cells"]]
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    lines = list(_draw_rows(rows, block["cells"], widths))
    lines.insert(1, "─┼─".join("─" * width for width in widths))
    return "\n".join(lines)


def _draw_rows(rows: list[list[str]], cells: list[list[Json]], widths: list[int]) -> Iterator[str]:
    for texts, row in zip(rows, cells, strict=True):
        padded = [ALIGNMENTS[cell["align"]](text, width) for text, cell, width in zip(texts, row, widths, strict=False)]
        yield " │ ".join(padded).rstrip()


def _prefix(text: str, prefix: str) -> str:
    return "\n".join(f"{prefix}{line}" for line in text.split("\n"))


ALIGNMENTS: dict[str, Callable[[str, int], str]] = {"left": str.ljust, "center": str.center, "right": str.rjust}
DRAWINGS: dict[str, Callable[[Json], str]] = {
    "paragraph": lambda block: draw_text(block["text"]),
    "footer": lambda block: draw_text(block["text"]),
    "thinking": lambda block: draw_text(block["text"]),
    "heading": lambda block: draw_text(block["text"]),
    "pre": lambda block: draw_text(block["text"]),
    "mathematical_expression": lambda block: str(block["expression"]),
    "divider": lambda _block: "────────",
    "list": _draw_list,
    "blockquote": lambda block: _prefix(draw_blocks(block["blocks"]), "│ "),
    "details": _draw_details,
    "table": _draw_table,
}

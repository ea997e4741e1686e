"""Reads received rich messages as text. Pure functions.

Telegram gives such a message no text, only blocks, and the library keeps them as they came: they may have any form.
"""

from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 40
"""Telegram allows 16 levels; content nested deeper is left out."""
MEDIA_TYPES = frozenset({"animation", "audio", "document", "photo", "video", "voice_note", "map"})


def read_rich_message(message: Any) -> str:
    """The text of a `RichMessage`."""
    return _blocks(message.get("blocks"), 0) if isinstance(message, dict) else ""


def read_rich_text(text: Any, depth: int = 0) -> str:
    """A `RichText`: a string, an object or an array of both."""
    if isinstance(text, str):
        return text
    if depth > MAX_DEPTH:
        return ""
    if isinstance(text, list):
        return "".join(read_rich_text(part, depth + 1) for part in text)
    if not isinstance(text, dict):
        return ""
    for name in ("expression", "alternative_text"):
        if isinstance(text.get(name), str):
            return str(text[name])
    shown, url = read_rich_text(text.get("text"), depth + 1), text.get("url")
    return f"{shown} ({url})" if isinstance(url, str) and url != shown else shown


def _blocks(blocks: Any, depth: int, separator: str = "\n\n") -> str:
    if depth > MAX_DEPTH or not isinstance(blocks, list):
        return ""
    return separator.join(filter(None, (_block(block, depth) for block in blocks)))


def _block(block: Any, depth: int) -> str:
    if not isinstance(block, dict):
        return ""
    if block.get("type") == "divider":
        return "---"
    return "\n".join(filter(None, (text.strip("\n") for text in _parts(block, depth))))


def _parts(block: dict[str, Any], depth: int) -> Iterator[str]:
    kind = block.get("type")
    if kind in MEDIA_TYPES:
        yield f"[{str(kind).replace('_', ' ')}]"
    yield read_rich_text({name: block[name] for name in ("text", "expression") if name in block}, depth)
    yield read_rich_text(block.get("summary"), depth)
    yield _blocks(block.get("blocks"), depth + 1)
    yield "\n".join(_item(item, depth + 1) for item in _list(block.get("items")))
    yield "\n".join(" | ".join(_cell(cell, depth) for cell in _list(row)) for row in _list(block.get("cells")))
    yield read_rich_text(block.get("caption"), depth)
    yield read_rich_text(block.get("credit"), depth)


def _item(item: Any, depth: int) -> str:
    if not isinstance(item, dict):
        return ""
    mark = "-" if item.get("label") in (None, "•") else str(item["label"])
    if item.get("has_checkbox"):
        mark += " [x]" if item.get("is_checked") else " [ ]"
    content = _blocks(item.get("blocks"), depth + 1, "\n").replace("\n", "\n   ")
    return f"{mark} {content}"


def _cell(cell: Any, depth: int) -> str:
    return read_rich_text(cell.get("text"), depth) if isinstance(cell, dict) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

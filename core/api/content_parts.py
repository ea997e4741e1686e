"""Reads the content of a message in any of its forms: a text, typed parts, or nothing.

"Hi"                                                                   ContentPart("Hi")
[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]   ContentPart("hm", is_reasoning=True)
[{"type": "text", "text": "Hi"}]                                       ContentPart("Hi")
"""

from dataclasses import dataclass, replace
from typing import Any

MAX_DEPTH = 4
"""How deep parts may be nested."""
REASONING_TYPE_WORDS = ("think", "reason")
"""In the types of parts: `thinking`, `reasoning_text`, `redacted_thinking`."""
TEXT_FIELDS = ("text", "thinking", "reasoning", "content", "summary", "refusal", "value")


@dataclass(frozen=True, slots=True)
class ContentPart:
    text: str
    is_reasoning: bool = False


def parse_content(content: Any, depth: int = 0) -> list[ContentPart]:
    """The parts that have text. Raises `TypeError` for an unknown form."""
    if not content:
        return []
    if depth > MAX_DEPTH:
        raise TypeError("nested too deeply")
    match content:
        case str():
            return [ContentPart(content)]
        case dict():
            return _parse_typed_part(content, depth)
        case list():
            return [part for item in content for part in parse_content(item, depth + 1)]
        case _:
            raise TypeError(type(content).__name__)


def _parse_typed_part(fields: dict[str, Any], depth: int) -> list[ContentPart]:
    parts = parse_content(next(filter(None, map(fields.get, TEXT_FIELDS)), None), depth + 1)
    is_reasoning = any(word in str(fields.get("type")) for word in REASONING_TYPE_WORDS)
    return [replace(part, is_reasoning=True) for part in parts] if is_reasoning else parts

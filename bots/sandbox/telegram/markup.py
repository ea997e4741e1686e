"""Parsers for `parse_mode`: HTML, MarkdownV2 and legacy Markdown, as strict as Telegram's."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bots.sandbox.telegram.errors import bad_request
from bots.sandbox.telegram.state import Json

__all__ = ["parse_markup", "utf16_length"]

ENTITY_TYPES_BY_TAG = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
TAG_PATTERN = re.compile(r"<(/?)([a-zA-Z][\w-]*)((?:\s+[\w-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))?)*)\s*>")
ATTRIBUTE_PATTERN = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
CHARACTER_REFERENCE = re.compile(r"&(?:lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
RESERVED_CHARACTERS = frozenset("_*[]()~`>#+-=|{}.!")
MARKERS = {
    "*": ("bold", "Bold"),
    "_": ("italic", "Italic"),
    "__": ("underline", "Underline"),
    "~": ("strikethrough", "Strikethrough"),
    "||": ("spoiler", "Spoiler"),
}


def utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def parse_markup(text: str, parse_mode: str) -> tuple[str, list[Json]]:
    """The text without its markup, and the entities. Raises `ApiError` for invalid markup."""
    modes: dict[str, Callable[[str], tuple[str, list[Json]]]] = {
        "html": _parse_html,
        "markdownv2": _parse_markdown_v2,
        "markdown": _parse_legacy_markdown,
    }
    parser = modes.get(parse_mode.lower())
    if parser is None:
        raise bad_request("unsupported parse_mode")
    return parser(text)


def _parse_error(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")


@dataclass(slots=True)
class _OpenEntity:
    name: str
    offset: int
    byte_offset: int
    extra_fields: Json


@dataclass(slots=True)
class _TextBuilder:
    """The text so far, its length in UTF-16 code units, its entities, and those that are still open."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    entities: list[Json] = field(default_factory=list)
    open_entities: list[_OpenEntity] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += utf16_length(text)

    def open(self, name: str, byte_offset: int, **extra_fields: str) -> None:
        self.open_entities.append(_OpenEntity(name, self.length, byte_offset, extra_fields))

    def close(self, entity_type: str, **extra_fields: str) -> None:
        opened = self.open_entities.pop()
        if self.length > opened.offset:
            length = self.length - opened.offset
            self.entities.append(
                {
                    "type": entity_type,
                    "offset": opened.offset,
                    "length": length,
                    **opened.extra_fields,
                    **extra_fields,
                }
            )

    def build(self) -> tuple[str, list[Json]]:
        return "".join(self.parts), self.entities


def _byte_offset(text: str, at: int) -> int:
    return len(text[:at].encode())


# -- HTML


def _parse_html(text: str) -> tuple[str, list[Json]]:
    result, at = _TextBuilder(), 0
    while at < len(text):
        if text[at] == "<":
            match = TAG_PATTERN.match(text, at)
            if match is None:
                raise _parse_error(f"Unclosed start tag at byte offset {_byte_offset(text, at)}")
            name = match[2].lower()
            if match[1]:
                _end_tag(result, name, _byte_offset(text, at))
            else:
                _start_tag(result, name, match[3], _byte_offset(text, at))
            at = match.end()
        elif text[at] == "&" and (match := CHARACTER_REFERENCE.match(text, at)):
            result.add(html.unescape(match[0]))
            at = match.end()
        else:
            following = re.compile(r"[<&]").search(text, at + 1)
            end = following.start() if following else len(text)
            result.add(text[at:end])
            at = end
    if result.open_entities:
        raise _parse_error(f'Can\'t find end tag corresponding to start tag "{result.open_entities[-1].name}"')
    return result.build()


def _start_tag(result: _TextBuilder, name: str, attributes: str, byte_offset: int) -> None:
    if name not in ENTITY_TYPES_BY_TAG:
        raise _parse_error(f'Unsupported start tag "{name}" at byte offset {byte_offset}')
    attribute_values = {
        match[1].lower(): html.unescape(match[2] or match[3] or match[4] or "")
        for match in ATTRIBUTE_PATTERN.finditer(attributes)
    }
    if name == "span" and attribute_values.get("class") != "tg-spoiler":
        raise _parse_error(f'Tag "span" must have class "tg-spoiler" at byte offset {byte_offset}')
    extra_fields = {}
    if name == "a":
        extra_fields["url"] = attribute_values.get("href", "")
    elif name == "tg-emoji":
        extra_fields["custom_emoji_id"] = attribute_values.get("emoji-id", "")
    elif name == "code" and attribute_values.get("class", "").startswith("language-"):
        extra_fields["language"] = attribute_values["class"].removeprefix("language-")
    elif name == "blockquote" and "expandable" in attribute_values:
        extra_fields["type"] = "expandable_blockquote"
    result.open(name, byte_offset, **extra_fields)


def _end_tag(result: _TextBuilder, name: str, byte_offset: int) -> None:
    if not result.open_entities:
        raise _parse_error(f"Unexpected end tag at byte offset {byte_offset}")
    opened = result.open_entities[-1]
    if opened.name != name:
        raise _parse_error(
            f'Unmatched end tag at byte offset {byte_offset}, expected "</{opened.name}>", found "</{name}>"'
        )
    if name == "code":
        language = opened.extra_fields.pop("language", None)
        if len(result.open_entities) > 1 and result.open_entities[-2].name == "pre":
            # <pre><code class="language-x"> is one entity of the type `pre`.
            result.open_entities.pop()
            if language:
                result.open_entities[-1].extra_fields["language"] = language
            return
    if name == "a" and not opened.extra_fields["url"]:
        result.open_entities.pop()
        return
    result.close(opened.extra_fields.pop("type", ENTITY_TYPES_BY_TAG[name]))


# -- MarkdownV2


def _parse_markdown_v2(text: str) -> tuple[str, list[Json]]:
    result, at = _TextBuilder(), 0
    quote: _OpenEntity | None = None
    while at < len(text):
        if (at == 0 or text[at - 1] == "\n") and (quote is not None) != (text[at] == ">"):
            quote = _toggle_quote(result, quote, at)
        if quote is not None and text[at] == ">" and (at == 0 or text[at - 1] == "\n"):
            at += 1
            continue
        character = text[at]
        if character == "\\" and at + 1 < len(text) and 0 < ord(text[at + 1]) < 127:
            result.add(text[at + 1])
            at += 2
        elif character == "`":
            at = _parse_code(result, text, at)
        elif character in RESERVED_CHARACTERS:
            at = _parse_marker(result, text, at)
        else:
            result.add(character)
            at += 1
    if quote is not None:
        _toggle_quote(result, quote, at)
    if result.open_entities:
        opened = result.open_entities[-1]
        name = dict(MARKERS.values()).get(opened.name, "TextUrl")
        raise _parse_error(f"Can't find end of {name} entity at byte offset {opened.byte_offset}")
    return result.build()


def _toggle_quote(result: _TextBuilder, quote: _OpenEntity | None, byte_offset: int) -> _OpenEntity | None:
    if quote is None:
        return _OpenEntity("blockquote", result.length, byte_offset, {})
    length = result.length - quote.offset
    if length:
        result.entities.append({"type": "blockquote", "offset": quote.offset, "length": length})
    return None


def _parse_code(result: _TextBuilder, text: str, at: int) -> int:
    fence = "```" if text.startswith("```", at) else "`"
    kind, name = ("pre", "Pre") if fence == "```" else ("code", "Code")
    body, end = [], at + len(fence)
    while end < len(text) and not text.startswith(fence, end):
        if text[end] == "\\" and end + 1 < len(text):
            end += 1
        body.append(text[end])
        end += 1
    if end >= len(text):
        raise _parse_error(f"Can't find end of {name} entity at byte offset {_byte_offset(text, at)}")
    content, extra_fields = "".join(body), {}
    if kind == "pre" and (match := re.match(r"([^\s`]*)\n", content)):
        extra_fields = {"language": match[1]} if match[1] else {}
        content = content[match.end() :]
    result.open(kind, at)
    result.add(content)
    result.close(kind, **extra_fields)
    return end + len(fence)


def _parse_marker(result: _TextBuilder, text: str, at: int) -> int:
    character = text[at]
    if character == "[":
        result.open("text_link", _byte_offset(text, at))
        return at + 1
    if character == "]" and any(opened.name == "text_link" for opened in result.open_entities):
        return _close_link(result, text, at)
    marker = next((m for m in ("||", "__") if text.startswith(m, at)), character)
    if marker not in MARKERS:
        raise _parse_error(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")
    entity_type = MARKERS[marker][0]
    if any(opened.name == entity_type for opened in result.open_entities):
        if result.open_entities[-1].name != entity_type:
            opened = result.open_entities[-1]
            name = dict(MARKERS.values()).get(opened.name, "TextUrl")
            raise _parse_error(f"Can't find end of {name} entity at byte offset {opened.byte_offset}")
        result.close(entity_type)
    else:
        result.open(entity_type, _byte_offset(text, at))
    return at + len(marker)


def _close_link(result: _TextBuilder, text: str, at: int) -> int:
    opened = result.open_entities[-1]
    if opened.name != "text_link":
        name = dict(MARKERS.values())[opened.name]
        raise _parse_error(f"Can't find end of {name} entity at byte offset {opened.byte_offset}")
    if not text.startswith("(", at + 1):
        result.open_entities.pop()
        return at + 1
    match = re.compile(r"\(((?:\\.|[^)\\])*)\)", re.DOTALL).match(text, at + 1)
    if match is None:
        raise _parse_error(f"Can't find end of a URL at byte offset {_byte_offset(text, at + 2)}")
    url = re.sub(r"\\(.)", r"\1", match[1])
    if url:
        result.close("text_link", url=url)
    else:
        result.open_entities.pop()
    return match.end()


# -- legacy Markdown


def _parse_legacy_markdown(text: str) -> tuple[str, list[Json]]:
    result, at = _TextBuilder(), 0
    entity_types = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in {"*", "_", "`", "["}:
            result.add(text[at + 1])
            at += 2
            continue
        marker = "```" if text.startswith("```", at) else text[at]
        if marker == "[" and (match := re.compile(r"\[([^\]]*)\]\(([^)]*)\)").match(text, at)):
            result.open("text_link", at)
            result.add(match[1])
            result.close("text_link", url=match[2])
            at = match.end()
        elif marker in entity_types:
            end = text.find(marker, at + len(marker))
            if end < 0:
                where = _byte_offset(text, at)
                raise _parse_error(f"Can't find end of the entity starting at byte offset {where}")
            result.open(entity_types[marker], at)
            result.add(text[at + len(marker) : end])
            result.close(entity_types[marker])
            at = end + len(marker)
        else:
            result.add(marker)
            at += 1
    return result.build()

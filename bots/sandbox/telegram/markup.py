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
HTML_PATTERN = re.compile(
    r"<(?:(/?)([a-zA-Z][\w-]*)((?:\s+[\w-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))?)*)\s*>)?"
    r"|&(?:lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});|[^<&]+|&"
)
"""A tag, or only "<" if there is no complete tag; a character reference; text."""
ATTRIBUTE_PATTERN = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
RESERVED_CHARACTERS = frozenset("_*[]()~`>#+-=|{}.!")
MARKERS = {
    "*": "bold",
    "_": "italic",
    "__": "underline",
    "~": "strikethrough",
    "||": "spoiler",
    "]": "text_link",
}
CODE_PATTERN = re.compile(r"(?>(```|`))((?:\\.|(?!\1)[^\\])*)\1", re.DOTALL)
LINK_URL_PATTERN = re.compile(r"\(((?:\\.|[^)\\])*)\)", re.DOTALL)
ESCAPED_CHARACTER = re.compile(r"\\(.)", re.DOTALL)
LEGACY_PATTERN = re.compile(r"\\([*_`\[])|\[([^\]]*)\]\(([^)]*)\)|(?>(```|[*_`]))(?:(.*?)\4)?|.", re.DOTALL)
"""An escaped character; a link; a marker, without a text if it is not closed; any other character."""
LEGACY_MARKERS = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}


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
        self.add_entity(entity_type, self.open_entities.pop(), **extra_fields)

    def add_entity(self, entity_type: str, opened: _OpenEntity, **extra_fields: str) -> None:
        """Add an entity that ends here, unless it is empty."""
        if length := self.length - opened.offset:
            entity = {"type": entity_type, "offset": opened.offset, "length": length}
            self.entities.append({**entity, **opened.extra_fields, **extra_fields})

    def add_literal(self, entity_type: str, text: str, **extra_fields: str) -> None:
        """Add a text in which there is no markup."""
        self.open(entity_type, 0)
        self.add(text)
        self.close(entity_type, **extra_fields)

    def build(self) -> tuple[str, list[Json]]:
        return "".join(self.parts), self.entities


def _byte_offset(text: str, at: int) -> int:
    return len(text[:at].encode())


# -- HTML


def _parse_html(text: str) -> tuple[str, list[Json]]:
    result = _TextBuilder()
    for match in HTML_PATTERN.finditer(text):
        if not match[0].startswith("<"):
            result.add(html.unescape(match[0]))
            continue
        byte_offset = _byte_offset(text, match.start())
        if match[2] is None:
            raise _parse_error(f"Unclosed start tag at byte offset {byte_offset}")
        if match[1]:
            _end_tag(result, match[2].lower(), byte_offset)
        else:
            _start_tag(result, match[2].lower(), match[3], byte_offset)
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
        character = text[at]
        if at == 0 or text[at - 1] == "\n":
            if quote is None and character == ">":
                quote = _OpenEntity("blockquote", result.length, at, {})
            elif quote is not None and character != ">":
                result.add_entity("blockquote", quote)
                quote = None
            if quote is not None:
                at += 1
                continue
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
        result.add_entity("blockquote", quote)
    if result.open_entities:
        raise _unclosed(result.open_entities[-1])
    return result.build()


def _unclosed(opened: _OpenEntity) -> Exception:
    name = "TextUrl" if opened.name == "text_link" else opened.name.capitalize()
    return _parse_error(f"Can't find end of {name} entity at byte offset {opened.byte_offset}")


def _parse_code(result: _TextBuilder, text: str, at: int) -> int:
    kind = "pre" if text.startswith("```", at) else "code"
    match = CODE_PATTERN.match(text, at)
    if match is None:
        raise _unclosed(_OpenEntity(kind, 0, _byte_offset(text, at), {}))
    content, extra_fields = ESCAPED_CHARACTER.sub(r"\1", match[2]), {}
    if kind == "pre" and (language := re.match(r"([^\s`]*)\n", content)):
        extra_fields = {"language": language[1]} if language[1] else {}
        content = content[language.end() :]
    result.add_literal(kind, content, **extra_fields)
    return match.end()


def _parse_marker(result: _TextBuilder, text: str, at: int) -> int:
    marker = next((m for m in ("||", "__") if text.startswith(m, at)), text[at])
    entity_type = MARKERS.get(marker, "")
    is_open = any(opened.name == entity_type for opened in result.open_entities)
    if marker == "[":
        result.open("text_link", _byte_offset(text, at))
    elif not entity_type or (marker == "]" and not is_open):
        raise _parse_error(f"Character '{text[at]}' is reserved and must be escaped with the preceding '\\'")
    elif not is_open:
        result.open(entity_type, _byte_offset(text, at))
    elif result.open_entities[-1].name != entity_type:
        raise _unclosed(result.open_entities[-1])
    elif marker == "]":
        return _close_link(result, text, at)
    else:
        result.close(entity_type)
    return at + len(marker)


def _close_link(result: _TextBuilder, text: str, at: int) -> int:
    if not text.startswith("(", at + 1):
        result.open_entities.pop()
        return at + 1
    match = LINK_URL_PATTERN.match(text, at + 1)
    if match is None:
        raise _parse_error(f"Can't find end of a URL at byte offset {_byte_offset(text, at + 2)}")
    if url := ESCAPED_CHARACTER.sub(r"\1", match[1]):
        result.close("text_link", url=url)
    else:
        result.open_entities.pop()
    return match.end()


# -- legacy Markdown


def _parse_legacy_markdown(text: str) -> tuple[str, list[Json]]:
    result = _TextBuilder()
    for match in LEGACY_PATTERN.finditer(text):
        escaped, label, url, marker, content = match.groups()
        if label is not None:
            result.add_literal("text_link", label, url=url)
        elif marker is None:
            result.add(escaped or match[0])
        elif content is not None:
            result.add_literal(LEGACY_MARKERS[marker], content)
        else:
            where = _byte_offset(text, match.start())
            raise _parse_error(f"Can't find end of the entity starting at byte offset {where}")
    return result.build()

"""`parse_mode`: HTML, MarkdownV2 and the old Markdown, refused where Telegram refuses them."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Json

__all__ = ["parse"]

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline",
    "ins": "underline", "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough",
    "tg-spoiler": "spoiler", "span": "spoiler", "a": "text_link", "code": "code", "pre": "pre",
    "blockquote": "blockquote", "tg-emoji": "custom_emoji",
}  # fmt: skip
TAG = re.compile(
    r"<(/?)([a-zA-Z][\w-]*)((?:\s+[\w-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))?)*)\s*>"
)
ATTRIBUTE = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
CHARACTER = re.compile(r"&(?:lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
MARKS = {
    "*": ("bold", "Bold"), "_": ("italic", "Italic"), "__": ("underline", "Underline"),
    "~": ("strikethrough", "Strikethrough"), "||": ("spoiler", "Spoiler"),
}  # fmt: skip


def parse(text: str, mode: str) -> tuple[str, list[Json]]:
    """The text without its markup, and the entities. Raises `Refusal`."""
    modes: dict[str, Callable[[str], tuple[str, list[Json]]]] = {
        "html": _html,
        "markdownv2": _markdown,
        "markdown": _old_markdown,
    }
    parser = modes.get(mode.lower())
    if parser is None:
        raise bad("unsupported parse_mode")
    return parser(text)


def _fail(reason: str) -> Exception:
    return bad(f"can't parse entities: {reason}")


@dataclass(slots=True)
class _Open:
    name: str
    offset: int
    at: int
    more: Json


@dataclass(slots=True)
class _Result:
    """The text so far, its length in UTF-16 units, and what is open."""

    parts: list[str] = field(default_factory=list)
    size: int = 0
    entities: list[Json] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text.encode("utf-16-le", "surrogatepass")) // 2

    def open(self, name: str, at: int, **more: str) -> None:
        self.stack.append(_Open(name, self.size, at, more))

    def close(self, kind: str, **more: str) -> None:
        opened = self.stack.pop()
        if self.size > opened.offset:
            length = self.size - opened.offset
            self.entities.append(
                {"type": kind, "offset": opened.offset, "length": length, **opened.more, **more}
            )

    def done(self) -> tuple[str, list[Json]]:
        return "".join(self.parts), self.entities


def _offset(text: str, at: int) -> int:
    return len(text[:at].encode())


# -- HTML


def _html(text: str) -> tuple[str, list[Json]]:
    result, at = _Result(), 0
    while at < len(text):
        if text[at] == "<":
            match = TAG.match(text, at)
            if match is None:
                raise _fail(f"Unclosed start tag at byte offset {_offset(text, at)}")
            name = match[2].lower()
            if match[1]:
                _end_tag(result, name, _offset(text, at))
            else:
                _start_tag(result, name, match[3], _offset(text, at))
            at = match.end()
        elif text[at] == "&" and (match := CHARACTER.match(text, at)):
            result.add(html.unescape(match[0]))
            at = match.end()
        else:
            following = re.compile(r"[<&]").search(text, at + 1)
            end = following.start() if following else len(text)
            result.add(text[at:end])
            at = end
    if result.stack:
        raise _fail(f'Can\'t find end tag corresponding to start tag "{result.stack[-1].name}"')
    return result.done()


def _start_tag(result: _Result, name: str, attributes: str, at: int) -> None:
    if name not in TAGS:
        raise _fail(f'Unsupported start tag "{name}" at byte offset {at}')
    given = {
        match[1].lower(): html.unescape(match[2] or match[3] or match[4] or "")
        for match in ATTRIBUTE.finditer(attributes)
    }
    if name == "span" and given.get("class") != "tg-spoiler":
        raise _fail(f'Tag "span" must have class "tg-spoiler" at byte offset {at}')
    more = {}
    if name == "a":
        more["url"] = given.get("href", "")
    elif name == "tg-emoji":
        more["custom_emoji_id"] = given.get("emoji-id", "")
    elif name == "code" and given.get("class", "").startswith("language-"):
        more["language"] = given["class"].removeprefix("language-")
    elif name == "blockquote" and "expandable" in given:
        more["type"] = "expandable_blockquote"
    result.open(name, at, **more)


def _end_tag(result: _Result, name: str, at: int) -> None:
    if not result.stack:
        raise _fail(f"Unexpected end tag at byte offset {at}")
    opened = result.stack[-1]
    if opened.name != name:
        raise _fail(
            f'Unmatched end tag at byte offset {at}, expected "</{opened.name}>", found "</{name}>"'
        )
    if name == "code":
        language = opened.more.pop("language", None)
        if len(result.stack) > 1 and result.stack[-2].name == "pre":
            # <pre><code class="language-x"> is one entity, the outer one.
            result.stack.pop()
            if language:
                result.stack[-1].more["language"] = language
            return
    if name == "a" and not opened.more["url"]:
        result.stack.pop()
        return
    result.close(opened.more.pop("type", TAGS[name]))


# -- MarkdownV2


def _markdown(text: str) -> tuple[str, list[Json]]:
    result, at = _Result(), 0
    quoted: _Open | None = None
    while at < len(text):
        if (at == 0 or text[at - 1] == "\n") and (quoted is not None) != (text[at] == ">"):
            quoted = _quote(result, quoted, at)
        if quoted is not None and text[at] == ">" and (at == 0 or text[at - 1] == "\n"):
            at += 1
            continue
        character = text[at]
        if character == "\\" and at + 1 < len(text) and 0 < ord(text[at + 1]) < 127:
            result.add(text[at + 1])
            at += 2
        elif character == "`":
            at = _code(result, text, at)
        elif character in RESERVED:
            at = _mark(result, text, at)
        else:
            result.add(character)
            at += 1
    if quoted is not None:
        _quote(result, quoted, at)
    if result.stack:
        opened = result.stack[-1]
        name = dict(MARKS.values()).get(opened.name, "TextUrl")
        raise _fail(f"Can't find end of {name} entity at byte offset {opened.at}")
    return result.done()


def _quote(result: _Result, quoted: _Open | None, at: int) -> _Open | None:
    if quoted is None:
        return _Open("blockquote", result.size, at, {})
    length = result.size - quoted.offset
    if length:
        result.entities.append({"type": "blockquote", "offset": quoted.offset, "length": length})
    return None


def _code(result: _Result, text: str, at: int) -> int:
    fence = "```" if text.startswith("```", at) else "`"
    kind, name = ("pre", "Pre") if fence == "```" else ("code", "Code")
    body, end = [], at + len(fence)
    while end < len(text) and not text.startswith(fence, end):
        if text[end] == "\\" and end + 1 < len(text):
            end += 1
        body.append(text[end])
        end += 1
    if end >= len(text):
        raise _fail(f"Can't find end of {name} entity at byte offset {_offset(text, at)}")
    content, more = "".join(body), {}
    if kind == "pre" and (match := re.match(r"([^\s`]*)\n", content)):
        more = {"language": match[1]} if match[1] else {}
        content = content[match.end() :]
    result.open(kind, at)
    result.add(content)
    result.close(kind, **more)
    return end + len(fence)


def _mark(result: _Result, text: str, at: int) -> int:
    character = text[at]
    if character == "[":
        result.open("text_link", _offset(text, at))
        return at + 1
    if character == "]" and any(opened.name == "text_link" for opened in result.stack):
        return _link(result, text, at)
    mark = next((m for m in ("||", "__") if text.startswith(m, at)), character)
    if mark not in MARKS:
        raise _fail(
            f"Character '{character}' is reserved and must be escaped with the preceding '\\'"
        )
    kind = MARKS[mark][0]
    if any(opened.name == kind for opened in result.stack):
        if result.stack[-1].name != kind:
            opened = result.stack[-1]
            name = dict(MARKS.values()).get(opened.name, "TextUrl")
            raise _fail(f"Can't find end of {name} entity at byte offset {opened.at}")
        result.close(kind)
    else:
        result.open(kind, _offset(text, at))
    return at + len(mark)


def _link(result: _Result, text: str, at: int) -> int:
    opened = result.stack[-1]
    if opened.name != "text_link":
        name = dict(MARKS.values())[opened.name]
        raise _fail(f"Can't find end of {name} entity at byte offset {opened.at}")
    if not text.startswith("(", at + 1):
        result.stack.pop()
        return at + 1
    match = re.compile(r"\(((?:\\.|[^)\\])*)\)", re.DOTALL).match(text, at + 1)
    if match is None:
        raise _fail(f"Can't find end of a URL at byte offset {_offset(text, at + 2)}")
    url = re.sub(r"\\(.)", r"\1", match[1])
    if url:
        result.close("text_link", url=url)
    else:
        result.stack.pop()
    return match.end()


# -- Markdown as it was


def _old_markdown(text: str) -> tuple[str, list[Json]]:
    result, at = _Result(), 0
    kinds = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in {"*", "_", "`", "["}:
            result.add(text[at + 1])
            at += 2
            continue
        mark = "```" if text.startswith("```", at) else text[at]
        if mark == "[" and (match := re.compile(r"\[([^\]]*)\]\(([^)]*)\)").match(text, at)):
            result.open("text_link", at)
            result.add(match[1])
            result.close("text_link", url=match[2])
            at = match.end()
        elif mark in kinds:
            end = text.find(mark, at + len(mark))
            if end < 0:
                where = _offset(text, at)
                raise _fail(f"Can't find end of the entity starting at byte offset {where}")
            result.open(kinds[mark], at)
            result.add(text[at + len(mark) : end])
            result.close(kinds[mark])
            at = end + len(mark)
        else:
            result.add(mark)
            at += 1
    return result.done()

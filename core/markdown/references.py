"""Reference links and footnotes.

    See [the manual][1].            a link, if this message or an earlier one has the definition; else as written
    [1]: https://example.com        hidden in the first message if a link uses it, and shown in later ones:
                                    earlier messages, which never change, may refer to it
    [1][2]                          two sources, no link
    A claim.[^1]                    a raised number
    [^1]: Its source.               the number and the text
    A claim.[^note]                 [note], if the message contains the definition, [^note]: otherwise as written

While an answer grows, a definition comes after the text that refers to it. The parser therefore keeps both as they are,
and `link_references` connects them just before a message is rendered.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from core.markdown.document import (
    Block,
    Document,
    Emphasis,
    Heading,
    Inline,
    LineBreak,
    Link,
    ListBlock,
    Paragraph,
    Quote,
    Reference,
    Spoiler,
    Strikethrough,
    Strong,
    Table,
    Text,
    Underline,
)
from core.markdown.plain_text import inlines_to_plain_text

LABEL_PATTERN = re.compile(r"\[([^\[\]\n]{0,100})\](?!\()")
SHORTCUT_PATTERN = re.compile(r"\[([^\[\]\n]{1,100})\]")
FOOTNOTE_PATTERN = re.compile(r"\[\^([0-9]{1,4})\]")
NAMED_FOOTNOTE_PATTERN = re.compile(r"\[\^([\w-]{1,40})\]")
DEFINITION_PATTERN = re.compile(r"\s*\[([^\[\]^][^\[\]]{0,99})\]:\s*\Z")
"""The text before the address."""
RAISED_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"

Definitions = dict[str, str]
"""Addresses by label."""
InlineMap = Callable[[tuple[Inline, ...]], tuple[Inline, ...]]


def add_references(grammar: MarkdownIt) -> None:
    grammar.inline.ruler.before("link", "footnote", _footnote_rule)
    grammar.inline.ruler.after("image", "reference_link", _reference_rule)


def _footnote_rule(state: StateInline, silent: bool) -> bool:
    match = FOOTNOTE_PATTERN.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    number, end = "".join(RAISED_DIGITS[int(digit)] for digit in match[1]), match.end()
    is_definition = state.src.startswith(":", end) and state.src[state.pos - 1 : state.pos] in ("", "\n")
    if not silent:
        follows_number = state.pending.endswith(tuple(RAISED_DIGITS))
        state.append_pending("," * follows_number + number)
    state.pos = end + is_definition
    return True


def _reference_rule(state: StateInline, silent: bool) -> bool:
    start, outer_end = state.pos, state.posMax
    if state.src[start] == "!":
        start += 1
    if not state.src.startswith("[", start) or state.linkLevel or start > _last_label(state):
        return False
    text_end = state.md.helpers.parseLinkLabel(state, start, True)
    label = LABEL_PATTERN.match(state.src, text_end + 1, outer_end) if text_end > start + 1 else None
    if label is None or (label[1].isdecimal() and state.src[start + 1 : text_end].isdecimal()):
        return False
    if not silent:
        state.pos, state.posMax = start + 1, text_end
        state.push("reference_open", "", 1).attrs = {"label": label[1]}
        state.linkLevel += 1
        state.md.inline.tokenize(state)
        state.linkLevel -= 1
        state.push("reference_close", "", -1)
    state.pos, state.posMax = label.end(), outer_end
    return True


def _last_label(state: StateInline) -> int:
    """Where the last label may begin: searching the end of a text costs much."""
    last = state.env.get("last_label")
    if last is None or last[0] is not state.src:
        last = state.env["last_label"] = (state.src, state.src.rfind("]["))
    return int(last[1])


def may_define(source: str) -> bool:
    """Whether the source of blocks may contain a definition or a footnote."""
    return "]:" in source


def find_definitions(blocks: Sequence[Block]) -> Definitions:
    """The first definition of each label."""
    return _read_definitions(_possible_definitions(blocks))


def _read_definitions(lines: Iterable[tuple[Inline, ...]]) -> Definitions:
    definitions: Definitions = {}
    for line in lines:
        for key, url in _read_definition(line):
            definitions.setdefault(key, url)
    return definitions


def link_references(blocks: Sequence[Block], earlier: Definitions, *, hides_definitions: bool) -> Document:
    """The document in which references are links. `earlier`: the definitions in earlier messages, which come first."""
    lines = list(_possible_definitions(blocks))
    definitions = ChainMap(earlier, _read_definitions(lines))  # no copy: an answer may have thousands
    footnotes = {name for line in lines for name in _read_footnote(line)}
    if not definitions and not footnotes:
        return Document(tuple(blocks))
    linker = _Linker(definitions, footnotes)
    linked = _map_blocks(blocks, linker.link)
    return Document(_map_blocks(linked, linker.hide_definitions) if hides_definitions else linked)


class _Linker:
    def __init__(self, definitions: Mapping[str, str], footnotes: set[str]) -> None:
        self._definitions = definitions
        self._footnotes = footnotes
        self._used: set[str] = set()

    def link(self, children: tuple[Inline, ...]) -> tuple[Inline, ...]:
        return tuple(linked for node in children for linked in self._link_node(node))

    def _link_node(self, node: Inline) -> Iterator[Inline]:
        match node:
            case Text(text):
                yield from self._link_shortcuts(NAMED_FOOTNOTE_PATTERN.sub(self._show_footnote, text))
            case Strong() | Emphasis() | Strikethrough() | Underline() | Spoiler():
                yield replace(node, children=self.link(node.children))
            case Reference(children, label):
                key = _key(label or inlines_to_plain_text(children))
                yield Link(self._use(key), children) if key in self._definitions else node
            case _:
                yield node

    def _show_footnote(self, match: re.Match[str]) -> str:
        return f"[{match[1]}]" if match[1] in self._footnotes else match[0]

    def _link_shortcuts(self, text: str) -> Iterator[Inline]:
        """Link `[text]` alone, unless it is a number: `[1]` says which source is meant."""
        position = 0
        for match in SHORTCUT_PATTERN.finditer(text):
            key = _key(match[1])
            if key in self._definitions and not key.isdecimal() and not DEFINITION_PATTERN.match(text):
                yield from _texts(text[position : match.start()])
                yield Link(self._use(key), (Text(match[1]),))
                position = match.end()
        yield from _texts(text[position:])

    def _use(self, key: str) -> str:
        self._used.add(key)
        return self._definitions[key]

    def hide_definitions(self, children: tuple[Inline, ...]) -> tuple[Inline, ...]:
        lines = [line for line in _split_lines(children) if not self._is_hidden(line)]
        return tuple(node for index, line in enumerate(lines) for node in ((LineBreak(),) * bool(index) + line))

    def _is_hidden(self, line: tuple[Inline, ...]) -> bool:
        has_title = bool(inlines_to_plain_text(line[2:]).strip())
        definitions = _read_definition(line)
        return not has_title and any(key in self._used and self._definitions[key] == url for key, url in definitions)


def _key(label: str) -> str:
    return " ".join(label.split()).casefold()


def _texts(text: str) -> tuple[Text, ...]:
    return (Text(text),) if text else ()


def _read_definition(line: tuple[Inline, ...]) -> Iterator[tuple[str, str]]:
    match line:
        case (Text(text), Link(url, (Text(label),)), *_) if url == label and (found := DEFINITION_PATTERN.match(text)):
            yield _key(found[1]), url


def _read_footnote(line: tuple[Inline, ...]) -> Iterator[str]:
    match line:
        case (Text(text), *_) if (found := NAMED_FOOTNOTE_PATTERN.match(text)) and text.startswith(":", found.end()):
            yield found[1]


def _possible_definitions(blocks: Sequence[Block]) -> Iterator[tuple[Inline, ...]]:
    """The lines of all paragraphs that may define a label."""
    for block in blocks:
        match block:
            case Paragraph(children):
                if any(isinstance(node, Text) and "[" in node.text for node in children):
                    yield from _split_lines(children)
            case Quote(inner):
                yield from _possible_definitions(inner)
            case ListBlock(items):
                for item in items:
                    yield from _possible_definitions(item.children)


def _split_lines(children: tuple[Inline, ...]) -> Iterator[tuple[Inline, ...]]:
    start = 0
    for index, node in enumerate(children):
        if isinstance(node, LineBreak):
            yield children[start:index]
            start = index + 1
    yield children[start:]


def _map_blocks(blocks: Sequence[Block], change: InlineMap) -> tuple[Block, ...]:
    """Change the content of every paragraph, heading and cell; drop paragraphs of which nothing remains."""
    mapped = (_map_block(block, change) for block in blocks)
    return tuple(block for block in mapped if not isinstance(block, Paragraph) or block.children)


def _map_block(block: Block, change: InlineMap) -> Block:
    match block:
        case Paragraph(children) | Heading(_, children):
            return replace(block, children=change(children))
        case Quote(inner):
            return replace(block, children=_map_blocks(inner, change))
        case ListBlock(items):
            changed = (replace(item, children=_map_blocks(item.children, change)) for item in items)
            return replace(block, items=tuple(changed))
        case Table(rows):
            return replace(block, rows=tuple(tuple(map(change, row)) for row in rows))
    return block

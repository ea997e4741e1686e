"""Separates the reasoning that some models write into their answer as `<think>...</think>`.

Chunks may split tags anywhere, so text that may be the beginning of a tag is buffered:

    feed("<thi")                   []
    feed("nk>hm</think>yes")       [ReasoningDelta("hm"), TextDelta("yes")]

The names of tags differ: `[THINK]`, `<mm:think>`, `<|begin_of_thought|>`, `<|channel|>analysis<|message|>`. An opening
tag counts at the beginning of the answer. After such a block, or from a model known to reason, it also counts later,
unless it is in code or never closed: an answer about tags stays intact. The opening tag may be missing, because some
chat templates write it into the prompt.
For models known to reason, a closing tag without it turns all text so far into reasoning:

    feed("hm")                     [TextDelta("hm")]
    feed("</think>yes")            [TextWasReasoning(), TextDelta("yes")]

A tag such as `<final>`, which marks the answer, ends the reasoning as well. If the reasoning contained another opening
tag, it may also end at a later closing tag. Tags with a space around them, as in a sentence about tags, do not count:

    feed("<think>a<think>b</think>c")      [ReasoningDelta("a<think>b"), TextDelta("c")]
    feed("</think>yes")                    [TextWasReasoning(), TextDelta("yes")]

`<scratchpad>` and the like also occur in answers about prompts: they count only at the beginning of the answer, if they
are closed, and if text follows. Tokens at the end of the answer are removed (`core.api.end_tokens`).
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from core.api.code_tracker import CodeTracker
from core.api.end_tokens import EndTokenFilter
from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning

ThinkTagEvent: TypeAlias = ReasoningDelta | TextWasReasoning | TextDelta

PREFIX = r"(?:[a-z][\w.-]{0,20}[:_-])?"
THINK = rf"{PREFIX}(?:think|thinking|thoughts?|reasoning)"
ANSWER = rf"{PREFIX}(?:final|answer|final_answer|response)"
SCRATCHPAD = r"(?:scratchpad|reflection|antthinking)"
ATTRIBUTE = r"""\s{1,2}[\w:-]{1,20}=(?:"[^"<>\[◁\n]{0,40}"|'[^'<>\[◁\n]{0,40}'|[^\s<>"'/\[◁]{1,40})"""
TAG_PATTERN = re.compile(
    rf"(?P<opening>[<\[◁]{THINK}\s?[>\]▷]|<{THINK}(?:{ATTRIBUTE}){{1,3}}\s?>|<\|(?:begin_of_thought|start_thinking|think(?:ing)?)\|>"
    r"|<\|channel\|?>(?:analysis|commentary|thought)|<unused94>(?:thought\b)?)"
    rf"|(?P<closing>[<\[◁]/{THINK}\s?[>\]▷]|<\|(?:end_of_thought|end_thinking|/think(?:ing)?)\|>|<channel\|>|<unused95>)"
    rf"|(?P<empty><{THINK}(?:{ATTRIBUTE}){{0,3}}\s?/>)"
    rf"|(?P<scratchpad><{SCRATCHPAD}>)|(?P<scratchpad_end></{SCRATCHPAD}>)"
    rf"|(?P<answer><{ANSWER}>|<\|(?:begin_of_solution|start_response)\|>|<\|channel\|>final)"
    rf"|(?P<answer_end></{ANSWER}>|<\|(?:end_of_solution|end_response|return)\|>)"
    r"|(?P<channel_end><\|end\|>)"
    r"|(?P<channel_header><\|start\|>assistant|<\|message\|>)",
    re.IGNORECASE,
)
PARTIAL_TAG_PATTERN = re.compile(
    r"[<\[◁][|/]{0,2}[\w:.|-]*\s?/?|(?:<\|(?:channel\|?|start\|)>|<unused94>)[a-z]{0,10}"
    rf"|<{THINK}(?:{ATTRIBUTE}){{0,3}}\s{{1,2}}(?:[\w:-]{{1,20}}(?:=(?:[\"'][^\"'<>\n]{{0,40}}[\"']?|[^\s<>\"'/]{{0,40}}))?)?\s?/?",
    re.IGNORECASE,
)
QUOTED_TAG_PATTERN = re.compile(rf"`[<\[◁]/?(?:{THINK}|{ANSWER})\s?[>\]▷]\Z", re.IGNORECASE)
"""A tag after a backtick, at the end: if a backtick follows, the reasoning speaks of the tag."""
NESTED_BEGINNING_PATTERN = re.compile(r"[A-Za-z0-9\n<]")
"""The character after an opening tag that is nested; a sentence about tags goes on with a space or a mark."""
NESTED_END_PATTERN = re.compile(r"[A-Za-z0-9\n.!?>。！？]")
"""The character before the closing tag of a nested block."""
MAX_TAG_CHARS = 300
BYTE_ORDER_MARK = "\ufeff"


class _State(Enum):
    START = auto()
    """The answer has no text yet."""
    REASONING = auto()
    TEXT = auto()
    LATER_BLOCK = auto()
    """In a block after text; if it is never closed, it is text."""


@dataclass(frozen=True, slots=True)
class _ClosedScratchpad:
    """Reasoning if text follows."""

    text: str


@dataclass(frozen=True, slots=True)
class _ClosedNested:
    """All text so far is reasoning if text follows."""


@dataclass(slots=True)
class ThinkTagParser:
    has_reasoning: bool = False
    """Whether the model is known to reason, in tags."""
    _state: _State = _State.START
    _saw_block: bool = False
    _is_answer_marked: bool = False
    """A tag for the answer was removed, so its end is removed, too."""
    _ended_by_answer: bool = False
    """The reasoning ended without a closing tag. If that comes later, it ends there."""
    _nested_tags: int = 0
    """Opening tags in the reasoning. A later closing tag may belong to one of them."""
    _is_after_opening: bool = False
    """Whether the text ends with an opening tag, which may be nested."""
    _partial_tag: str = ""
    _last_char: str = ""
    """The last character that was parsed."""
    _later_block: list[str] = field(default_factory=list)
    _later_chars: int = 0
    _is_scratchpad: bool = False
    """Whether the later block is a scratchpad at the beginning of the answer."""
    _scratchpads: list[str] = field(default_factory=list)
    """Closed scratchpads. If no text follows, they are the answer."""
    _scratchpad_chars: int = 0
    _was_nested_closed: bool = False
    """Whether the text so far turns into reasoning as soon as text follows."""
    _later_depth: int = 0
    _later_end: int = 0
    """Where the later block ends, if no other closing tag follows."""
    _code: CodeTracker = field(default_factory=CodeTracker)
    _reasoning_code: CodeTracker = field(default_factory=CodeTracker)
    _end_tokens: EndTokenFilter = field(default_factory=EndTokenFilter)
    _events: list[ThinkTagEvent | _ClosedScratchpad | _ClosedNested] = field(default_factory=list)

    @property
    def is_inside_reasoning(self) -> bool:
        return self._state is _State.REASONING

    @property
    def buffered_chars(self) -> int:
        return self._later_chars + self._scratchpad_chars + len(self._partial_tag) + self._end_tokens.buffered_chars

    def feed(self, chunk: str) -> list[ThinkTagEvent]:
        text = self._partial_tag + chunk
        if self._state is _State.TEXT and not (self.has_reasoning or self._saw_block or self._is_answer_marked):
            self._partial_tag = ""
            text = self._end_tokens.feed(text)
            return [TextDelta(text)] if text else []  # tags have no meaning any more
        end = _partial_tag_start(text, self._last_char)
        self._partial_tag = text[end:]
        position = 0
        for match in TAG_PATTERN.finditer(text, 0, end):
            self._add(text[position : match.start()])
            before = text[match.start() - 1] if match.start() else self._last_char
            is_between = before == "`" == text[match.end() : match.end() + 1]
            if (is_between and self._is_in_code_of_reasoning()) or not self._handle_tag(match, before):
                self._add(match[0])
                self._is_after_opening = match.lastgroup in ("opening", "scratchpad")
            position = match.end()
        self._add(text[position:end])
        self._last_char = text[end - 1] if end else self._last_char
        return self._take_events()

    def flush(self) -> list[ThinkTagEvent]:
        """The rest of the buffer, at the end of the stream."""
        self._add(self._partial_tag)
        self._partial_tag = ""
        if self._state is _State.LATER_BLOCK:
            if self._later_end:
                self._end_later_block(self._later_block[1 : self._later_end])
                del self._later_block[: self._later_end + 1]
            self._events.append(TextDelta(self._take_later_block()))
        events = [*self._take_events(), *self._add_text(self._end_tokens.flush())]
        scratchpads = "\n\n".join(map(str.strip, self._scratchpads))
        return [*events, TextDelta(scratchpads)] if scratchpads else events

    def _add(self, text: str) -> None:
        if self._state is _State.START:
            text = text.lstrip().removeprefix(BYTE_ORDER_MARK).lstrip()
            self._state = _State.TEXT if text else _State.START
        if not text:
            return
        if self._is_after_opening and NESTED_BEGINNING_PATTERN.match(text):
            self._nested_tags += self._state is _State.REASONING
            self._later_depth += self._state is _State.LATER_BLOCK
        self._is_after_opening = False
        if self._state is _State.REASONING:
            self._reasoning_code.feed(text)
            self._events.append(ReasoningDelta(text))
        elif self._state is _State.LATER_BLOCK:
            self._later_block.append(text)
            self._later_chars += len(text)
        else:
            self._code.feed(text)
            self._events.append(TextDelta(text))

    def _is_in_code_of_reasoning(self) -> bool:
        return self._state is _State.REASONING and self._reasoning_code.is_inside()

    def _handle_tag(self, match: re.Match[str], before: str) -> bool:
        """Whether the tag has a meaning where it stands; otherwise it belongs to the text."""
        match self._state:
            case _State.START:
                return self._handle_at_start(match)
            case _State.REASONING:
                return self._handle_in_reasoning(match.lastgroup)
            case _State.TEXT:
                return not self._code.is_inside() and self._handle_in_text(match, before)
            case _State.LATER_BLOCK:
                return self._handle_in_later_block(match.lastgroup, before)

    def _handle_at_start(self, match: re.Match[str]) -> bool:
        tag = match.lastgroup
        if tag == "opening":
            self._state, self._saw_block = _State.REASONING, True
        elif tag == "empty":
            self._saw_block = True
        elif tag == "scratchpad":
            self._begin_later_block(match[0])
            self._is_scratchpad = True
        elif tag == "answer" and (self._saw_block or match[0].startswith("<|")):
            self._is_answer_marked = True
        else:
            self._nested_tags -= bool(self._nested_tags and tag == "closing")
            return tag in ("closing", "channel_end", "channel_header")  # the prompt contained the opening tag
        return True

    def _handle_in_reasoning(self, tag: str | None) -> bool:
        if tag not in ("closing", "channel_end", "answer"):
            return tag == "channel_header"
        self._state = _State.START
        self._is_answer_marked = self._ended_by_answer = tag == "answer"
        return True

    def _handle_in_text(self, match: re.Match[str], before: str) -> bool:
        tag = match.lastgroup
        ends_nested = self._nested_tags and NESTED_END_PATTERN.match(before)
        if tag == "opening" and (self.has_reasoning or self._saw_block):
            self._begin_later_block(match[0])
        elif tag == "closing" and (
            self._ended_by_answer or ends_nested or (self.has_reasoning and not self._saw_block)
        ):
            self._nested_tags = max(0, self._nested_tags - 1)
            self._events.append(_ClosedNested() if ends_nested else TextWasReasoning())
            self._state, self._saw_block, self._ended_by_answer = _State.START, True, False
            self._code = CodeTracker()
        elif tag in ("answer_end", "channel_end") and self._is_answer_marked:
            self._is_answer_marked = False
        else:
            return False
        return True

    def _begin_later_block(self, tag: str) -> None:
        self._state = _State.LATER_BLOCK
        self._later_block, self._later_chars = [tag], len(tag)
        self._later_depth, self._later_end, self._is_scratchpad = 1, 0, False

    def _handle_in_later_block(self, tag: str | None, before: str) -> bool:
        closing_tags = ("scratchpad_end",) if self._is_scratchpad else ("closing", "channel_end")
        if tag not in closing_tags:
            return tag == "channel_header"
        if self._later_end and not NESTED_END_PATTERN.match(before):
            return False
        self._later_depth -= 1
        if self._later_depth:
            self._later_end = len(self._later_block)
            return False
        self._end_later_block(self._later_block[1:])
        self._take_later_block()
        self._state, self._saw_block = _State.START if self._is_scratchpad else _State.TEXT, True
        return True

    def _end_later_block(self, reasoning: list[str]) -> None:
        if self._is_scratchpad:
            self._events.append(_ClosedScratchpad("".join(reasoning)))
        else:
            self._events.append(ReasoningDelta("".join(reasoning)))

    def _take_later_block(self) -> str:
        text = "".join(self._later_block)
        self._later_block, self._later_chars = [], 0
        return text

    def _take_events(self) -> list[ThinkTagEvent]:
        events, self._events = self._events, []
        return list(_merge(itertools.chain.from_iterable(map(self._filter_event, events))))

    def _filter_event(self, event: ThinkTagEvent | _ClosedScratchpad | _ClosedNested) -> Iterator[ThinkTagEvent]:
        """Without tokens at the end of the text, and with reasoning that only text after it shows to be some."""
        if isinstance(event, TextDelta):
            yield from self._add_text(self._end_tokens.feed(event.text))
            return
        yield from self._add_text(self._end_tokens.release())
        match event:
            case _ClosedScratchpad(text):
                self._scratchpads.append(text)
                self._scratchpad_chars += len(text)
            case _ClosedNested():
                self._was_nested_closed = True
                self._end_tokens = EndTokenFilter()
            case TextWasReasoning():
                self._end_tokens = EndTokenFilter()
                yield event
            case _:
                yield event

    def _add_text(self, text: str) -> Iterator[ThinkTagEvent]:
        if not text:
            return
        if self._was_nested_closed:
            self._was_nested_closed = False
            yield TextWasReasoning()
        yield from map(ReasoningDelta, self._scratchpads)
        self._scratchpads, self._scratchpad_chars = [], 0
        yield TextDelta(text)


def _partial_tag_start(text: str, last_char: str) -> int:
    """The position of an end that may begin a tag, or be a quoted one, or else the length of the text."""
    tail = max(0, len(text) - MAX_TAG_CHARS)
    if quoted := QUOTED_TAG_PATTERN.search(last_char + text, tail):
        return quoted.start() + 1 - len(last_char)
    start = max(text.rfind(bracket, tail) for bracket in "<[◁")
    return start if start >= 0 and PARTIAL_TAG_PATTERN.fullmatch(text, start) else len(text)


def _merge(events: Iterable[ThinkTagEvent]) -> Iterable[ThinkTagEvent]:
    """The events, with neighbours of one kind joined and without empty ones."""
    for kind, group in itertools.groupby(events, type):
        if kind is TextWasReasoning:
            yield TextWasReasoning()
        elif text := "".join(event.text for event in group if not isinstance(event, TextWasReasoning)):
            yield ReasoningDelta(text) if kind is ReasoningDelta else TextDelta(text)

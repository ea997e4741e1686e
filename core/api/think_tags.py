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

A tag such as `<final>`, which marks the answer, ends the reasoning as well.
"""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning

ThinkTagEvent: TypeAlias = ReasoningDelta | TextWasReasoning | TextDelta

PREFIX = r"(?:[a-z][\w.-]{0,20}[:_-])?"
THINK = rf"{PREFIX}(?:think|thinking|thoughts?|reasoning)"
ANSWER = rf"{PREFIX}(?:final|answer|final_answer|response)"
TAG_PATTERN = re.compile(
    rf"(?P<opening>[<\[◁]{THINK}\s?[>\]▷]|<\|(?:begin_of_thought|start_thinking|think(?:ing)?)\|>"
    r"|<\|channel\|?>(?:analysis|commentary|thought)|<unused94>(?:thought\b)?)"
    rf"|(?P<closing>[<\[◁]/{THINK}\s?[>\]▷]|<\|(?:end_of_thought|end_thinking|/think(?:ing)?)\|>|<channel\|>|<unused95>)"
    rf"|(?P<answer><{ANSWER}>|<\|(?:begin_of_solution|start_response)\|>|<\|channel\|>final)"
    rf"|(?P<answer_end></{ANSWER}>|<\|(?:end_of_solution|end_response|return)\|>)"
    r"|(?P<channel_end><\|end\|>)"
    r"|(?P<channel_header><\|start\|>assistant|<\|message\|>)",
    re.IGNORECASE,
)
PARTIAL_TAG_PATTERN = re.compile(
    r"[<\[◁][|/]{0,2}[\w:.|-]*\s?|(?:<\|(?:channel\|?|start\|)>|<unused94>)[a-z]{0,10}", re.IGNORECASE
)
QUOTED_TAG_PATTERN = re.compile(rf"`[<\[◁]/?(?:{THINK}|{ANSWER})\s?[>\]▷]\Z", re.IGNORECASE)
"""A tag after a backtick, at the end: if a backtick follows, the reasoning speaks of the tag."""
MAX_TAG_CHARS = 40
BYTE_ORDER_MARK = "\ufeff"
CODE_PIECE_PATTERN = re.compile(r"`+|\n|[^`\n]+")
MIN_FENCE = 3


class _State(Enum):
    START = auto()
    """The answer has no text yet."""
    REASONING = auto()
    TEXT = auto()
    LATER_BLOCK = auto()
    """In a block after text; if it is never closed, it is text."""


@dataclass(slots=True)
class _CodeTracker:
    """Whether Markdown text, fed in pieces, ends inside a code span or a fenced block."""

    _run: int = 0
    """Backticks at the end of the text."""
    _span: int = 0
    """Backticks that opened the current code span; 0 outside."""
    _fence: int = 0
    """Backticks that opened the current fenced block; 0 outside."""
    _is_line_blank: bool = True

    def feed(self, text: str) -> None:
        for piece in CODE_PIECE_PATTERN.findall(text):
            if piece[0] == "`":
                self._run += len(piece)
                continue
            self._end_run()
            if piece == "\n":
                if self._is_line_blank:
                    self._span = 0  # a code span ends with its paragraph
                self._is_line_blank = True
            elif not piece.isspace():
                self._is_line_blank = False

    def is_inside(self) -> bool:
        self._end_run()
        return bool(self._span or self._fence)

    def _end_run(self) -> None:
        run, self._run = self._run, 0
        if not run:
            return
        if self._fence:
            if run >= self._fence and self._is_line_blank:
                self._fence = 0
        elif self._span:
            self._span = 0 if run == self._span else self._span
        elif run >= MIN_FENCE and self._is_line_blank:
            self._fence = run
        else:
            self._span = run
        self._is_line_blank = False


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
    _partial_tag: str = ""
    _last_char: str = ""
    """The last character that was parsed."""
    _later_block: list[str] = field(default_factory=list)
    _later_chars: int = 0
    _code: _CodeTracker = field(default_factory=_CodeTracker)
    _reasoning_code: _CodeTracker = field(default_factory=_CodeTracker)
    _events: list[ThinkTagEvent] = field(default_factory=list)

    @property
    def is_inside_reasoning(self) -> bool:
        return self._state is _State.REASONING

    @property
    def buffered_chars(self) -> int:
        return self._later_chars + len(self._partial_tag)

    def feed(self, chunk: str) -> list[ThinkTagEvent]:
        text = self._partial_tag + chunk
        if self._state is _State.TEXT and not (self.has_reasoning or self._saw_block or self._is_answer_marked):
            self._partial_tag = ""
            return [TextDelta(text)] if text else []  # tags have no meaning any more
        end = _partial_tag_start(text, self._last_char)
        self._partial_tag = text[end:]
        position = 0
        for match in TAG_PATTERN.finditer(text, 0, end):
            self._add(text[position : match.start()])
            before = text[match.start() - 1] if match.start() else self._last_char
            is_between = before == "`" == text[match.end() : match.end() + 1]
            if (is_between and self._is_in_code_of_reasoning()) or not self._handle_tag(match):
                self._add(match[0])
            position = match.end()
        self._add(text[position:end])
        self._last_char = text[end - 1] if end else self._last_char
        return self._take_events()

    def flush(self) -> list[ThinkTagEvent]:
        """The rest of the buffer, at the end of the stream."""
        self._add(self._partial_tag)
        self._partial_tag = ""
        if self._state is _State.LATER_BLOCK:
            self._events.append(TextDelta(self._take_later_block()))
        return self._take_events()

    def _add(self, text: str) -> None:
        if self._state is _State.START:
            text = text.lstrip().removeprefix(BYTE_ORDER_MARK).lstrip()
            self._state = _State.TEXT if text else _State.START
        if not text:
            return
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

    def _handle_tag(self, match: re.Match[str]) -> bool:
        """Whether the tag has a meaning where it stands; otherwise it belongs to the text."""
        match self._state:
            case _State.START:
                return self._handle_at_start(match)
            case _State.REASONING:
                return self._handle_in_reasoning(match.lastgroup)
            case _State.TEXT:
                return not self._code.is_inside() and self._handle_in_text(match)
            case _State.LATER_BLOCK:
                return self._handle_in_later_block(match.lastgroup)

    def _handle_at_start(self, match: re.Match[str]) -> bool:
        tag = match.lastgroup
        if tag == "opening":
            self._state, self._saw_block = _State.REASONING, True
        elif tag == "answer" and (self._saw_block or match[0].startswith("<|")):
            self._is_answer_marked = True
        else:
            return tag in ("closing", "channel_end", "channel_header")  # the prompt contained the opening tag
        return True

    def _handle_in_reasoning(self, tag: str | None) -> bool:
        if tag not in ("closing", "channel_end", "answer"):
            return tag == "channel_header"
        self._state = _State.START
        self._is_answer_marked = self._ended_by_answer = tag == "answer"
        return True

    def _handle_in_text(self, match: re.Match[str]) -> bool:
        tag = match.lastgroup
        if tag == "opening" and (self.has_reasoning or self._saw_block):
            self._state = _State.LATER_BLOCK
            self._later_block, self._later_chars = [match[0]], len(match[0])
        elif tag == "closing" and (self._ended_by_answer or (self.has_reasoning and not self._saw_block)):
            self._events.append(TextWasReasoning())
            self._state, self._saw_block, self._ended_by_answer = _State.START, True, False
            self._code = _CodeTracker()
        elif tag in ("answer_end", "channel_end") and self._is_answer_marked:
            self._is_answer_marked = False
        else:
            return False
        return True

    def _handle_in_later_block(self, tag: str | None) -> bool:
        if tag not in ("closing", "channel_end"):
            return tag == "channel_header"
        _opening_tag, *reasoning = self._later_block
        self._events.append(ReasoningDelta("".join(reasoning)))
        self._take_later_block()
        self._state, self._saw_block = _State.TEXT, True
        return True

    def _take_later_block(self) -> str:
        text = "".join(self._later_block)
        self._later_block, self._later_chars = [], 0
        return text

    def _take_events(self) -> list[ThinkTagEvent]:
        events, self._events = self._events, []
        return list(_merge(events))


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

"""Follows the code in Markdown text that arrives in pieces."""

import re
from dataclasses import dataclass

CODE_PIECE_PATTERN = re.compile(r"`+|\n|[^`\n]+")
MIN_FENCE = 3


@dataclass(slots=True)
class CodeTracker:
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

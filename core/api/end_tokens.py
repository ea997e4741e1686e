"""Removes the tokens that end an answer, where a service passes them on as text.

    feed("Yes.<|im_")     "Yes."
    feed("end|>")         ""
    flush()               ""           a token at the very end; `<|im_e` would be text

In code, they are text; so is `</s>` on a line with `<s>`.
"""

import re
from dataclasses import dataclass, field

from core.api.code_tracker import CodeTracker

END_TOKENS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "<eos>",
    "</s>",
)
TOKENS_PATTERN = re.compile(rf"(?:(?:{'|'.join(map(re.escape, END_TOKENS))})\s*+)++")
STRUCK_TAG, STRUCK_END = "<s>", "</s>"
MAX_BUFFERED_CHARS = 400
MAX_LINE_CHARS = 1000


@dataclass(slots=True)
class EndTokenFilter:
    _buffer: str = ""
    """The end of the text, if only tokens may follow."""
    _line: str = ""
    """The end of the last line before the buffer."""
    _code: CodeTracker = field(default_factory=CodeTracker)

    @property
    def buffered_chars(self) -> int:
        return len(self._buffer)

    def feed(self, text: str) -> str:
        """What is certainly text."""
        text = self._buffer + text
        end = _find_end_tokens(text) if "<" in text else len(text)
        self._buffer = text[end:]
        text = text[:end]
        self._code.feed(text)
        self._line = (self._line + text).rpartition("\n")[2][-MAX_LINE_CHARS:]
        return text

    def release(self) -> str:
        """The buffer as text, because something else follows."""
        text, self._buffer = self._buffer, ""
        self._code.feed(text)
        return text

    def flush(self) -> str:
        """The rest of the text, at its end."""
        buffer, self._buffer = self._buffer, ""
        is_struck = buffer.startswith(STRUCK_END) and STRUCK_TAG in self._line
        start = len(STRUCK_END) if is_struck else 0
        is_end = TOKENS_PATTERN.fullmatch(buffer, start) is not None and not self._code.is_inside()
        return buffer[:start] if is_end else buffer


def _find_end_tokens(text: str) -> int:
    """Where tokens begin, perhaps an incomplete one, up to the end of the text."""
    start = text.find("<", max(0, len(text) - MAX_BUFFERED_CHARS))
    while start >= 0:
        tokens = TOKENS_PATTERN.match(text, start)
        rest = text[tokens.end() if tokens else start :]
        if any(token.startswith(rest) for token in END_TOKENS):
            return start
        start = text.find("<", start + 1)
    return len(text)

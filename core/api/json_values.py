"""Decodes the JSON of one stream event leniently, because services break the format in small ways.

    {"a": 1}{"b": 2}          two values in one event, also with "," or "data:" between them
    {"a": "x(tab)y"}          a control character in a string, such as a tab
    {"c": "\ud83d"}           half of a character, whose other half follows in the next event

Surrogates remain in the strings: `SurrogateJoiner` puts the halves together.
"""

import json
import re
from typing import Any

import msgspec

from core.api.response_body import decode_json

SEPARATOR_PATTERN = re.compile(r"(?:\s|,|data:)*")
SURROGATE_PATTERN = re.compile(r"[\ud800-\udfff]")
HIGH_SURROGATES = ("\ud800", "\udbff")

_decoder = json.JSONDecoder(strict=False)


def decode_values(data: bytes) -> tuple[list[Any], bool]:
    """The JSON values in `data`, and whether all of it could be read. An array stands for its items."""
    try:
        value = decode_json(data)
        return value if isinstance(value, list) else [value], True
    except msgspec.DecodeError:
        return _decode_leniently(data.decode(errors="replace"))


def _decode_leniently(text: str) -> tuple[list[Any], bool]:
    values: list[Any] = []
    position = _skip_separators(text, 0)
    while position < len(text):
        try:
            value, position = _decoder.raw_decode(text, position)
        except (ValueError, RecursionError):  # also numbers with thousands of digits
            return values, False
        values.append(value)
        position = _skip_separators(text, position)
    return values, True


def _skip_separators(text: str, position: int) -> int:
    match = SEPARATOR_PATTERN.match(text, position)
    return match.end() if match else position


class SurrogateJoiner:
    """Joins characters whose halves arrive in different pieces of a text.

    A half without its other half becomes the replacement character.
    """

    def __init__(self) -> None:
        self._high = ""

    def feed(self, text: str) -> str:
        text = self._high + text
        self._high = ""
        if not SURROGATE_PATTERN.search(text):
            return text
        if HIGH_SURROGATES[0] <= text[-1] <= HIGH_SURROGATES[1]:
            text, self._high = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def flush(self) -> str:
        """The replacement character if the text ended with half of a character."""
        high, self._high = self._high, ""
        return "\ufffd" if high else ""

"""Adapts requests to services that reject a part of them, such as a field or the system role.

    error: Extra inputs are not permitted, field: 'stream_options'       the request is sent again without it
    error: System role not supported                                     ... with the instructions in the question
    error: Streaming is not allowed                                      ... for an answer that comes as a whole

An error names parts; whether one of them was the cause shows when the adapted request succeeds. Pure.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

SYSTEM_ROLE = "system role"
STREAM = "stream"
STREAM_OPTIONS, TEMPERATURE, REASONING_EFFORT = "stream_options", "temperature", "reasoning_effort"
MAX_COMPLETION_TOKENS, MAX_TOKENS = "max_completion_tokens", "max_tokens"
VALUE_FIELDS = (TEMPERATURE, REASONING_EFFORT)
"""Fields of which models reject some values."""
OPTIONAL_FIELDS = (STREAM, STREAM_OPTIONS, MAX_COMPLETION_TOKENS, MAX_TOKENS, *VALUE_FIELDS)

PART_PATTERNS = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        STREAM_OPTIONS: r"stream[_ ]?options?(?![a-z_])",
        MAX_COMPLETION_TOKENS: r"max[_ ]?completion[_ ]?tokens(?![a-z_])",
        MAX_TOKENS: r"max[_ ]?tokens(?![a-z_])",
        TEMPERATURE: r"\btemperature\b",
        REASONING_EFFORT: r"reasoning[_. ]?effort|\beffort parameter|(?:^|[\"`']|invalid )think[\"`']? value"
        r"|\b(?:reasoning|thinking)['\"`]? (?:cannot|can't|(?:is|are) (?:not|un)|isn't)"
        r"|\b(?:reasoning|thinking)[_ ](?:mode|level|budget|config|option|parameter)|support (?:reasoning|thinking)",
        SYSTEM_ROLE: r"\bsystem['\"`]?[_ ](?:role|prompt|message|instruction|turn)|developer instruction"
        r"|\broles?\b.{0,60}\bsystem\b|support (?:the |a )?['\"`]system\b"
        r"|\bsystem\b.{0,20}(?:not|n't) (?:one of|a valid|an? \w{1,12} role|allowed|supported)"
        r"|(?:roles must|requests) alternate|\b(?:first|start|begin)s?\b.{0,40}\buser\b"
        r"|\buser\W{1,4}(?:(?:and|or)\W{1,3})?assistant\b",
    }.items()
}
NEGATION_PATTERN = re.compile(
    r"\bnot\b|n't\b|\bcannot\b|unsupported|unexpected|unknown|invalid|\bmust\b|\bshould\b|\bonly\b|forbidden|illegal"
    r"|unrecogni[sz]ed|disallowed",
    re.IGNORECASE,
)
ECHO_PATTERN = re.compile(r"['\"](?:input|ctx)['\"]:")
"""What follows repeats the request."""
ECHO_KEYS = ("input", "ctx", "url")
MAX_TEXT_CHARS = 4000
MAX_DEPTH, MAX_ITEMS = 5, 10


def find_rejected_parts(body: Any, *, is_certain_rejection: bool) -> tuple[str, ...]:
    """The parts of a request that the body of an error names; the first one is most probably the cause.

    Without `is_certain_rejection`, as with status 500, the text must say that something is not accepted.
    """
    text = " ".join(_texts(body))[:MAX_TEXT_CHARS].replace("\u2019", "'")
    text = ECHO_PATTERN.split(text, maxsplit=1)[0]
    if not (is_certain_rejection or NEGATION_PATTERN.search(text)):
        return ()
    matches = {name: pattern.search(text) for name, pattern in PART_PATTERNS.items()}
    positions = {name: match.start() for name, match in matches.items() if match}
    return tuple(sorted(positions, key=positions.__getitem__))


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in an error's body. The names of fields come first; repeated parts of the request are left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth < MAX_DEPTH:
        named = {key: value[key] for key in ("param", "loc") if key in value}
        for key, item in islice((named | value).items(), MAX_ITEMS):
            if key not in ECHO_KEYS:
                yield from _texts(item, depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        for item in value[:MAX_ITEMS]:
            yield from _texts(item, depth + 1)


def part_of(payload: dict[str, Any], name: str) -> str | None:
    """The part of this name as facts describe it, with its value if only that is rejected; None if there is none."""
    if name == SYSTEM_ROLE:
        return name if payload["messages"][0]["role"] == "system" else None
    if name not in payload:
        return None
    return f"{name}={payload[name]}" if name in VALUE_FIELDS else name


def without_parts(payload: dict[str, Any], rejected_parts: AbstractSet[str]) -> dict[str, Any]:
    """The payload of a request without what the service rejects."""
    payload = dict(payload)
    if MAX_COMPLETION_TOKENS in rejected_parts and MAX_COMPLETION_TOKENS in payload:
        payload[MAX_TOKENS] = payload.pop(MAX_COMPLETION_TOKENS)
    if STREAM in rejected_parts:
        payload.pop(STREAM_OPTIONS, None)
    for name in OPTIONAL_FIELDS:
        if part_of(payload, name) in rejected_parts:
            del payload[name]
    if part_of(payload, SYSTEM_ROLE) in rejected_parts:
        payload["messages"] = _merge_instructions(payload["messages"])
    return payload


def _merge_instructions(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the instructions in front of the first question."""
    instructions, first, *rest = messages
    if isinstance(first["content"], list):  # with images
        content: object = [{"type": "text", "text": instructions["content"]}, *first["content"]]
    else:
        content = f"{instructions['content']}\n\n{first['content']}"
    return [{"role": "user", "content": content}, *rest]


def dropped_fields(payload: dict[str, Any], rejected_parts: AbstractSet[str]) -> set[str]:
    """The fields that this request loses, under the names that it has them. A renamed one is not lost."""
    adapted = without_parts(payload, rejected_parts)
    dropped = payload.keys() - adapted.keys()
    return dropped - {MAX_COMPLETION_TOKENS} if MAX_TOKENS in adapted else dropped


class RequestAdapter:
    """The payload of one request, without the parts that are known to be rejected or turn out to be."""

    def __init__(self, payload: dict[str, Any], known_parts: AbstractSet[str]) -> None:
        self._original = payload
        self._known_parts = known_parts
        self.new_parts: set[str] = set()
        """What errors made it leave out."""

    @property
    def payload(self) -> dict[str, Any]:
        return without_parts(self._original, self._known_parts | self.new_parts)

    def adapt(self, names: tuple[str, ...]) -> bool:
        """Leave out the first of the named parts that the payload still has. Returns whether there is one.

        Each part is left out at most once, so that this ends.
        """
        payload = self.payload
        part = next((part for name in names if (part := part_of(payload, name))), None)
        if part is None:
            return False
        self.new_parts.add(part)
        return True

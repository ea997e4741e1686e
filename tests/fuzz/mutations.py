"""Mutates JSON: fields that are missing, of another type, absurd, nested, exchanged, unknown or twice there.

The same random source gives the same mutations.
"""

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fuzz.texts import generate_texts

NUMBERS = (
    0,
    -1,
    1,
    2,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    -(2**63),
    10**30,
    10**400,
    0.5,
    -0.0,
    1e300,
    float("nan"),
    float("-inf"),
    True,
)
OTHER_VALUES: tuple[object, ...] = (None, False, "", [], {}, [None], [[]], [{}], {"": None})
MAX_DEPTH = 100
MAX_NODES = 5000
RAW_JSON = {"<nest>": "[" * 20_000 + "]" * 20_000, "<number>": "1" + "0" * 5000, "<surrogate>": '"\\ud83d"'}
"""Placeholders for what Python does not encode."""
STRINGS = (
    "\0",
    "\ud83d",
    "\udfff\ud800",
    "a\0b",
    " ",
    "\n",
    "-1",
    "1e9",
    "0" * 5000,
    "9" * 30,
    "٣",
    "\u202eabc",
    "😀" * 300,
    *RAW_JSON,
)
HOSTILE_BYTES = (
    *(b"\xff", b"\xc3", b"\xed\xa0\xbd", b"\xef\xbb\xbf", b"\0", b"\r\n", b"\r\n\r\n", b"\n", b":", b'"', b"\\u"),
    *(b"[" * 5000, b"9" * 5000, b"a" * 20_000, b"NaN", b"\x1f\x8b"),
)
KEY = re.compile(r'(?<=[{,])"(?:[^"\\]|\\.)*":')


@dataclass(frozen=True, slots=True)
class _Node:
    """A value inside containers, and where it is."""

    container: dict[str, Any] | list[Any]
    key: Any

    @property
    def value(self) -> Any:
        return self.container[self.key]


class JsonMutator:
    """`interesting_values` are those that mean something where the JSON is read, such as the ID of somebody else.

    `is_parsable`: the result is what a decoder accepts.
    """

    def __init__(
        self, random_source: random.Random, interesting_values: Sequence[object], *, is_parsable: bool = False
    ) -> None:
        self._is_parsable = is_parsable
        self._random = random_source
        self._interesting_values = interesting_values
        self._texts = generate_texts(random_source.randrange(10**9), 10**9, max_chars=20_000)

    def mutate(self, value: object, max_mutations: int = 3) -> Any:
        """A copy of `value` with up to `max_mutations` mutations."""
        root = [value]
        for _ in range(self._random.randint(1, max_mutations)):
            root = json.loads(json.dumps(root))  # a value that was put there twice must be there as two
            nodes = _nodes(root)
            node = self._random.choice(nodes[1:] or nodes)
            self._random.choice(MUTATIONS)(self, node, nodes)
            if not root:
                return None
        return root[0]

    def encode(self, value: object) -> str:
        """JSON, sometimes with a key that is there twice, or a number that JSON does not have."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=self._random.random() < 0.9)
        if self._random.random() < 0.1 and (keys := list(KEY.finditer(text))):
            key = self._random.choice(keys)
            text = f"{text[: key.start()]}{key[0]}{json.dumps(self.hostile_value())},{text[key.start() :]}"
        for placeholder, raw_json in () if self._is_parsable else RAW_JSON.items():
            text = text.replace(json.dumps(placeholder), raw_json)
        return text

    def hostile_value(self) -> object:
        pool = self._random.choice([NUMBERS, OTHER_VALUES, STRINGS, self._interesting_values, None])
        return next(self._texts) if pool is None else self._random.choice(pool)

    # The mutations

    def remove(self, node: _Node, _nodes: list[_Node]) -> None:
        del node.container[node.key]

    def replace(self, node: _Node, _nodes: list[_Node]) -> None:
        node.container[node.key] = self.hostile_value()

    def replace_with_interesting_value(self, node: _Node, _nodes: list[_Node]) -> None:
        node.container[node.key] = self._random.choice(self._interesting_values)

    def copy_other(self, node: _Node, nodes: list[_Node]) -> None:
        """The value of another node: another type, another ID, or the whole inside its part."""
        node.container[node.key] = copy.deepcopy(self._random.choice(nodes).value)

    def retype(self, node: _Node, _nodes: list[_Node]) -> None:
        value = node.value
        match value:
            case str():
                candidates: list[object] = [[value], {"text": value}, len(value), list(value[:50])]
            case bool() | None:
                candidates = [str(value), int(bool(value)), [value]]
            case int() | float():
                candidates = [str(value), [value], -value, value + 0.5 if abs(value) < 2**53 else value, {"id": value}]
            case list():
                candidates = [value[::-1], value * 3, dict(enumerate(map(str, value))), value[:1], str(value)[:1000]]
            case _:
                candidates = [list(value.items()), list(value.values()), [value], str(value)[:1000]]
        node.container[node.key] = self._random.choice(candidates)

    def nest(self, node: _Node, _nodes: list[_Node]) -> None:
        value = node.value
        for _ in range(self._random.choice([1, 2, 10, MAX_DEPTH])):
            value = [value] if self._random.random() < 0.5 else {"a": value}
        node.container[node.key] = value

    def add_field(self, node: _Node, nodes: list[_Node]) -> None:
        """A field that is known elsewhere, or nowhere."""
        key = self._random.choice([other.key for other in nodes if isinstance(other.key, str)] or ["unknown"])
        if isinstance(node.container, dict):
            node.container[key] = self.hostile_value()
        else:
            node.container.append(self.hostile_value())


MUTATIONS: tuple[Callable[[JsonMutator, _Node, list[_Node]], None], ...] = (
    JsonMutator.remove,
    JsonMutator.replace,
    JsonMutator.replace,
    JsonMutator.replace_with_interesting_value,
    JsonMutator.copy_other,
    JsonMutator.retype,
    JsonMutator.nest,
    JsonMutator.add_field,
)


def _nodes(root: list[Any]) -> list[_Node]:
    """All values in `root`, its own first; those deep inside a nest are left out."""
    found: list[_Node] = []
    pending: list[Any] = [root]
    while pending and len(found) < MAX_NODES:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append(_Node(container, key))
            if isinstance(container[key], dict | list):
                pending.append(container[key])
    return found


def mutate_bytes(random_source: random.Random, content: bytes, max_mutations: int = 3) -> bytes:
    """`content` cut, repeated, or with bytes that are changed, in no encoding, or have a meaning of their own."""
    for _ in range(random_source.randint(1, max_mutations)):
        start, end = sorted(random_source.randrange(len(content) + 1) for _ in range(2))
        match random_source.randrange(4):
            case 0:
                content = content[:start]
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:end] + content[start:]
            case _:
                content = content[:start] + random_source.choice(HOSTILE_BYTES) + content[start + 1 :]
    return content

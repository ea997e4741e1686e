"""The corpus of difficult answers, and the words of an answer that people must see.

A file holds several answers; a line `%%% name` begins each.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bots.telegram.dialect import part_entities
from core.port import Part

FOLDER = Path(__file__).with_name("corpus")
NAME_PATTERN = re.compile(r"^%%% (.+)\n", re.MULTILINE)
INVISIBLE_PATTERNS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^[ \t>*+\-0-9.)]*(?:```+|~~~+)\S*",  # a fence and its language
        r"```+[\w+#.\-]*[ \t]*\n(?=.)",  # the same behind a text
        r"^[ \t>*+\-0-9.)]*\[[ xX]\]",  # the checkbox of a task
        r"(?<=\])\([^()\s]*\)(?=\]\()",  # the address of an image that is a link
        r"\]\[[^\]\n]*\]",  # the label of a reference, and that of its definition
        r"^[ >]*\[[^\]\n^]*\]:",
        r"\\(?:begin|end)\{\w+\*?\}|\\[A-Za-z]+",  # commands of TeX
        r"</?(?:[abius]|br|code|su[bp]|[uo]l|li|details|summary)(?: [^<>\n]*)?/?>",
        r"&#?\w+;",
    )
)
WORD_PATTERN = re.compile(r"\w*[^\W\d_]\w*")


@dataclass(frozen=True, slots=True)
class CorpusAnswer:
    name: str
    text: str


def read_corpus() -> Iterator[CorpusAnswer]:
    for path in sorted(FOLDER.glob("*.txt")):
        _, *pieces = NAME_PATTERN.split(path.read_text())
        for name, text in zip(pieces[::2], pieces[1::2], strict=True):
            yield CorpusAnswer(f"{path.stem}: {name}", text.removesuffix("\n"))


def visible_words(text: str) -> set[str]:
    """The words of `text` that are neither marks nor names of marks, without characters that are no letters."""
    for pattern in INVISIBLE_PATTERNS:
        text = pattern.sub(" ", text)
    return {_letters(word) for word in WORD_PATTERN.findall(text)}


def lost_words(text: str, shown: str) -> set[str]:
    letters = _letters(shown)
    return {word for word in visible_words(text) if word not in letters}


def _letters(text: str) -> str:
    """Letters and digits without accents; raised and lowered ones like others."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text)))


def shown_text(parts: tuple[Part, ...]) -> str:
    """What people can read, or open."""
    addresses = (entity.url or "" for part in parts for entity in part_entities(part))
    return "".join(part.text for part in parts) + " ".join(addresses)

"""Reference links in an answer with many definitions."""

from collections.abc import Iterator, KeysView

from core.markdown.document import Link, Paragraph, Text
from core.markdown.parser import parse_blocks
from core.markdown.references import find_definitions, link_references


class WatchedDefinitions(dict[str, str]):
    """Counts how often all definitions are read."""

    copies = 0

    def __iter__(self) -> Iterator[str]:
        self.copies += 1
        return super().__iter__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        self.copies += 1
        return super().keys()


def test_earlier_definitions_come_first_and_are_not_copied() -> None:
    earlier = WatchedDefinitions({f"{number}": f"https://example.com/{number}" for number in range(5000)})
    parsed = parse_blocks("See [one][1].\n\n[1]: https://example.com/later\n[x]: https://example.com/x\n")
    blocks = [placed.block for placed in parsed]
    (paragraph, *_) = link_references(blocks, earlier, hides_definitions=False).blocks
    assert isinstance(paragraph, Paragraph)
    assert Link("https://example.com/1", (Text("one"),)) in paragraph.children
    assert earlier.copies == 0
    assert find_definitions(blocks) == {"1": "https://example.com/later", "x": "https://example.com/x"}

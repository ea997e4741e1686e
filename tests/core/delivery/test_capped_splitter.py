"""The first messages of an answer that may take only some."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.sandbox.model.script import long_document
from bots.telegram.dialect import TelegramDialect
from core.delivery.capped_splitter import CappedSplitter, scale_max_parts
from core.delivery.splitter import Splitter
from core.markdown.document import Document
from core.port import Dialect, Part

pytestmark = pytest.mark.slow

DOCUMENT = long_document(20_000)
DIALECTS = [DiscordDialect(), TelegramDialect()]
SMALL = DiscordDialect(60)


class MeasuringDialect(DiscordDialect):
    """Counts the characters that it renders."""

    rendered = 0

    def render(self, document: Document) -> Part:
        part = super().render(document)
        self.rendered += len(part.text)
        return part


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("max_parts", [1, 3])
async def test_first_parts_are_those_of_the_whole_text(dialect: Dialect, max_parts: int) -> None:
    first = await CappedSplitter(dialect, max_parts).update_async(DOCUMENT)
    assert not first.is_complete
    assert first.parts == Splitter(dialect).update(DOCUMENT)[:max_parts]


@pytest.mark.parametrize("step", [40, 300])
async def test_growing_text_has_the_same_first_parts(step: int) -> None:
    growing = CappedSplitter(SMALL, 5)
    for end in range(step, 1_000, step):
        first = await growing.update_async(DOCUMENT[:end])
        whole = Splitter(SMALL).update(DOCUMENT[:end])
        assert first.is_complete == (len(whole) <= 5)
        assert first.parts == whole[:5]
    assert not (await growing.update_async(DOCUMENT)).is_complete


async def test_text_that_just_fits_is_complete() -> None:
    text = "word " * 40
    count = len(Splitter(SMALL).update(text))
    assert (await CappedSplitter(SMALL, count).update_async(text)).is_complete
    assert not (await CappedSplitter(SMALL, count - 1).update_async(text)).is_complete


async def test_text_without_limit_is_complete() -> None:
    text = "word " * 400
    first = await CappedSplitter(SMALL, None).update_async(text)
    assert first.is_complete
    assert first.parts == Splitter(SMALL).update(text)


async def test_rest_of_a_long_text_is_not_split() -> None:
    costs = []
    for text in (DOCUMENT, DOCUMENT * 5):
        dialect = MeasuringDialect()
        splitter = CappedSplitter(dialect, 2)
        await splitter.update_async(text)
        once = dialect.rendered
        await splitter.update_async(text + " and more")
        assert dialect.rendered == once
        costs.append(once)
    assert costs[0] == costs[1]


async def test_another_text_starts_again() -> None:
    splitter = CappedSplitter(SMALL, 2)
    assert not (await splitter.update_async(DOCUMENT)).is_complete
    assert (await splitter.update_async("something else")).parts == (Part("something else"),)
    assert (await splitter.update_async("short")).is_complete


async def test_line_ends_may_be_cut_in_two() -> None:
    text = "line\r\n" * 100
    for max_parts in range(1, 5):
        first = await CappedSplitter(SMALL, max_parts).update_async(text)
        assert first.parts == Splitter(SMALL).update(text)[:max_parts]


def test_larger_messages_are_fewer_for_the_same_room() -> None:
    small, large = DiscordDialect(100), DiscordDialect(800)
    assert [scale_max_parts(count, small, large) for count in (1, 5, 16, None)] == [1, 1, 2, None]
    assert scale_max_parts(5, small, small) == 5

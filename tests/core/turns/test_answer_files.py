"""The button that offers parts of an answer as files, and what a press on it sends."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.delivery.artefacts import MIN_TABLE_ROWS
from core.port import Part
from core.texts import answers as texts
from core.texts.transfer import NO_UPLOADS
from tests.core.turns.fake_adapter import FakeAdapter, UploadingAdapter, running_engine

pytestmark = pytest.mark.slow

TABLE = "| dish | price |\n|---|---|\n" + "\n".join(f"| dish {n} | {n} |" for n in range(MIN_TABLE_ROWS))


@pytest.mark.parametrize(
    ("answer", "label", "count"),
    [("no table", None, 0), (TABLE, texts.FILE_BUTTON, 1), (f"{TABLE}\n\nand\n\n{TABLE}", texts.FILES_BUTTON, 2)],
    ids=["none", "one", "two"],
)
async def test_tables_are_offered_as_files(
    tmp_path: Path, model: ModelStandIn, answer: str, label: str | None, count: int
) -> None:
    model.answer = lambda _body: answer
    adapter = UploadingAdapter()
    async with running_engine(tmp_path, model, adapter) as chat:
        await chat.ask("Show the menu")
        (labels,) = adapter.buttons.values()
        assert [shown for shown in labels if shown in (texts.FILE_BUTTON, texts.FILES_BUTTON)] == (
            [label] if label else []
        )
        await chat.press(encode_action(ButtonAction.SEND_FILES, 1), "2")
        await chat.wait_for_states("done", "done")
        assert len(adapter.files) == count
        assert all("dish 1,1" in content for content in adapter.files)
        assert (texts.ANSWER_NOT_STORED in chat.texts) is (count == 0)


@pytest.mark.parametrize(("max_bytes", "count"), [(10_000, 1), (20, 0)])
async def test_too_large_files_are_not_sent(tmp_path: Path, model: ModelStandIn, max_bytes: int, count: int) -> None:
    model.answer = lambda _body: TABLE
    adapter = UploadingAdapter(max_bytes=max_bytes)
    async with running_engine(tmp_path, model, adapter) as chat:
        await chat.ask("Show the menu")
        await chat.press(encode_action(ButtonAction.SEND_FILES, 1), "2")
        await chat.wait_for_states("done", "done")
        assert len(adapter.files) == count


class NoUploadsAdapter(FakeAdapter):
    def __init__(self) -> None:
        super().__init__()
        self.labels: list[str] = []

    def _show(self, message_id: str, part: Part) -> None:
        super()._show(message_id, part)
        self.labels += [button.label for button in part.buttons]


async def test_platform_without_files_offers_none(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: TABLE
    adapter = NoUploadsAdapter()
    async with running_engine(tmp_path, model, adapter) as chat:
        await chat.ask("Show the menu")
        assert adapter.labels == [texts.RETRY_BUTTON]
        await chat.press(encode_action(ButtonAction.SEND_FILES, 1), "2")
        await chat.wait_for_text(NO_UPLOADS)

"""Answers that take too many messages: the first ones, then all of the answer as a file."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.discord.dialect import DiscordDialect
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import respond_with
from core.delivery.splitter import Splitter
from core.errors import DeliveryError, DeliveryFailure, MessageLimitError
from core.port import Capabilities, Part, PreviewMode
from core.store.schema import turns
from core.texts import answers as texts
from tests.core.api.raw_server import DONE, chunk, final_chunk
from tests.core.turns.fake_adapter import EDITING, TYPING, UNLIMITED, FakeAdapter, UploadingAdapter, running_engine

pytestmark = pytest.mark.slow

LIMIT = 3
LONG = "".join(f"Sentence {number} of the answer. " for number in range(60)).strip()
DIALECT = DiscordDialect(200)
PARTS = [part.text for part in Splitter(DIALECT).update(LONG)]
CAPTION = f"*{texts.LONG_ANSWER}*"
FILE_FIRST = replace(TYPING, edits_attach_files=True)


def uploading(capabilities: Capabilities = TYPING, **options: int) -> UploadingAdapter:
    adapter = UploadingAdapter(capabilities, **options)
    adapter.dialect = DIALECT  # type: ignore[assignment]  # another dialect with a small limit
    return adapter


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = 100_000
    model.answer = lambda _body: LONG
    return model


def reopen_delivery(connection: Connection, note: str | None = None) -> None:
    """The process that delivered the answer died before it finished the turn."""
    reopened = {"state": "delivering", "attempt": 1, "finished_at": None, "lease_expires_at": 0, "note": note}
    connection.execute(update(turns).where(turns.c.model.is_not(None)).values(**reopened))


async def deliver_again(adapter: FakeAdapter) -> None:
    await adapter.store.write(reopen_delivery)
    await adapter.wait_for_states("done")


async def test_long_answer_ends_with_a_file(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading()
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello", message="m1", group="-1")
        await adapter.wait_for_states("done")
        assert adapter.texts == [*PARTS[:LIMIT], CAPTION]
        assert adapter.files == [LONG]
        assert [file.name for file in adapter.sent_files.values()] == ["answer.md"]
        [upload] = [call for call in adapter.calls if call.method == "send_file"]
        assert upload.reply_to == "m1"
        await deliver_again(adapter)
        assert (adapter.texts, adapter.files) == ([*PARTS[:LIMIT], CAPTION], [LONG])


async def test_answer_that_just_fits_needs_no_file(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading()
    async with running_engine(tmp_path, model, adapter, answer_messages=len(PARTS)):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert (adapter.texts, adapter.files) == (PARTS, [])


async def test_platform_without_files_shows_every_message(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = FakeAdapter()
    adapter.dialect = DIALECT  # type: ignore[assignment]  # another dialect with a small limit
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == PARTS


async def test_too_large_file_is_not_sent(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading(max_bytes=len(LONG) - 1)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == PARTS
        assert not adapter.started["send_file"].is_set()


@pytest.mark.parametrize("failure", [DeliveryFailure.FORBIDDEN, DeliveryFailure.REJECTED])
@pytest.mark.parametrize("capabilities", [TYPING, EDITING], ids=["typing", "editing"])
async def test_refused_file_is_replaced_by_messages(
    tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure, capabilities: Capabilities
) -> None:
    adapter = uploading(capabilities)
    adapter.errors["send_file"] = DeliveryError("No files here", failure)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == PARTS
        message_ids = list(adapter.messages)
        del adapter.errors["send_file"]
        await deliver_again(adapter)
        assert (list(adapter.messages), adapter.files) == (message_ids, [])


@pytest.mark.parametrize("failure", [DeliveryFailure.TRANSIENT, DeliveryFailure.RATE_LIMITED])
async def test_failed_file_is_sent_again(tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure) -> None:
    adapter = uploading()
    adapter.fail_next("send_file", DeliveryError("Not now", failure, retry_after=0.1))
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert (adapter.texts, adapter.files) == ([*PARTS[:LIMIT], CAPTION], [LONG])


async def test_notes_and_buttons_are_under_the_file(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading()
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("/settings length 250")
        await adapter.wait_for_states("done")
        await adapter.say("hello")
        await adapter.wait_for_states("done", "done")
        answer = "".join(adapter.files)
        assert LONG.startswith(answer)
        assert adapter.texts[-1] == f"{CAPTION}\n\n{texts.MAX_LENGTH_REACHED}"
        assert list(adapter.buttons.values())[-1] == [texts.CONTINUE_BUTTON, texts.RETRY_BUTTON]
        assert not any(list(adapter.buttons.values())[-1 - LIMIT : -1])


async def test_note_that_exceeds_the_caption_is_a_message(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading(max_caption_size=len(CAPTION) + len(texts.MAX_LENGTH_REACHED) - 1)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("/settings length 250")
        await adapter.wait_for_states("done")
        await adapter.say("hello")
        await adapter.wait_for_states("done", "done")
        assert adapter.texts[-2:] == [CAPTION, f"*{texts.MAX_LENGTH_REACHED}*"]


async def test_preview_stays_at_the_limit(tmp_path: Path, model: ModelStandIn) -> None:
    """A line that counts characters stands for the rest; the file replaces it."""
    model.tokens_per_second = 100
    adapter = uploading(EDITING)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_text("The answer continues")
        assert adapter.texts[:LIMIT] == PARTS[:LIMIT]
        assert list(adapter.buttons.values())[-1] == [texts.STOP_BUTTON]
        await adapter.wait_for_text("1,000 characters so far")
        await adapter.wait_for_states("done")
        assert max(adapter.shown_counts) == LIMIT + 1
        assert (adapter.texts, adapter.files) == ([*PARTS[:LIMIT], CAPTION], [LONG])


async def test_draft_stays_at_the_limit(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 100
    adapter = uploading(Capabilities(UNLIMITED, preview_mode=PreviewMode.DRAFT, preview_interval=0.05))
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_until(lambda: any("The answer continues" in draft for draft in adapter.drafts))
        assert adapter.texts == PARTS[:LIMIT]
        await adapter.wait_for_states("done")
        assert (adapter.texts, adapter.files) == ([*PARTS[:LIMIT], CAPTION], [LONG])


async def test_stopped_long_answer_comes_as_a_file(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 100
    adapter = uploading(EDITING)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_text("The answer continues")
        await adapter.say("/stop")
        await adapter.wait_for_text(texts.STOPPED)
        await adapter.wait_for_states("stopped", "done")
        assert f"{CAPTION}\n\n{texts.STOPPED}" in adapter.texts
        [content] = adapter.files
        assert LONG.startswith(content)
        assert len(content) < len(LONG)


async def test_shorter_answer_of_the_next_attempt_removes_the_rest(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 100
    adapter = uploading(EDITING)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_text("The answer continues")
        await adapter.engine.close(0)
    model.answer = lambda _body: "short"
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.wait_for_states("done")
        assert (adapter.texts, adapter.files) == (["short"], [])


async def test_lower_limit_of_the_next_process_removes_messages(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading()
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        await adapter.engine.close(0)
        await adapter.store.write(reopen_delivery)
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT + 1):
        await adapter.wait_for_states("done")
        assert (adapter.texts[:LIMIT], adapter.files) == (PARTS[:LIMIT], [LONG])
        assert sorted(adapter.texts) == sorted([*PARTS[: LIMIT + 1], CAPTION])


async def test_uncertain_file_is_offered_again(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading(Capabilities(UNLIMITED, preview_mode=PreviewMode.OFF))
    adapter.fail_next("send_file", DeliveryError("The connection was lost", DeliveryFailure.UNKNOWN))
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == [*PARTS[:LIMIT], f"*{texts.DELIVERY_UNCERTAIN}*"]
        [*_, (message_id, labels)] = adapter.buttons.items()
        assert labels == [texts.SEND_AGAIN_BUTTON]
        await adapter.press("again:1", message_id)
        await adapter.wait_for_states("done", "done")
        assert adapter.texts[LIMIT + 1 :] == [*PARTS[:LIMIT], CAPTION]
        assert adapter.files == [LONG]
    assert len(model.requests) == 1


async def test_retry_leaves_the_file_of_the_earlier_answer(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading()
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        model.answer = lambda _body: "short"
        await adapter.say("/retry")
        await adapter.wait_for_states("done", "done")
        assert adapter.texts == [*PARTS[:LIMIT], CAPTION, "short"]
        assert adapter.files == [LONG]


async def test_longest_answer_in_one_chunk_stays_at_the_limit(tmp_path: Path, model: ModelStandIn) -> None:
    longest = "**bold** and `code` " * 20_000
    body = chunk(content=longest) + final_chunk() + DONE
    model.fail_next(respond_with(200, body, content_type="text/event-stream"))
    adapter = uploading(EDITING)
    async with running_engine(tmp_path, model, adapter, answer_messages=5):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert max(adapter.shown_counts) <= 5 + 1
        assert len(adapter.messages) == 5 + 1
        is_whole = adapter.files == [longest]  # without 400,000 characters in the report of a failure
        assert is_whole


class LimitedAdapter(UploadingAdapter):
    """Accepts four messages."""

    def _show_new(self, message_id: str, part: Part) -> None:
        if len(self.messages) == 4:
            raise MessageLimitError("No more messages")
        super()._show_new(message_id, part)


@pytest.mark.parametrize("capabilities", [TYPING, FILE_FIRST], ids=["no file", "file first"])
async def test_long_note_under_the_last_message_is_cut(
    tmp_path: Path, model: ModelStandIn, capabilities: Capabilities
) -> None:
    adapter = LimitedAdapter(capabilities)
    line = texts.LONG_ANSWER_ABOVE if capabilities.edits_attach_files else texts.NO_MORE_MESSAGES
    adapter.dialect = DiscordDialect(len(line) + 20)  # type: ignore[assignment]
    adapter.errors["send_file"] = DeliveryError("No files here", DeliveryFailure.FORBIDDEN)
    if capabilities.edits_attach_files:
        del adapter.errors["send_file"]
    async with running_engine(tmp_path, model, adapter, answer_messages=20):
        await adapter.say("/settings length 250")
        await adapter.wait_for_states("done")
        adapter.messages.clear()
        await adapter.say("hello")
        await adapter.wait_for_states("done", "done")
        assert len(adapter.texts) == 4
        assert adapter.texts[-1].startswith(f"*{line}*\n\n{texts.MAX_LENGTH_REACHED[:5]}")
        assert adapter.texts[-1].endswith("…")
        assert list(adapter.buttons.values())[-1] == [texts.CONTINUE_BUTTON, texts.RETRY_BUTTON]


async def test_note_of_its_own_is_no_sign_of_a_refused_file(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = uploading(FILE_FIRST)
    adapter.dialect = DiscordDialect(len(texts.LONG_ANSWER_ABOVE) + 20)  # type: ignore[assignment]
    async with running_engine(tmp_path, model, adapter, answer_messages=LIMIT):
        await adapter.say("/settings length 250")
        await adapter.wait_for_states("done")
        await adapter.say("hello")
        await adapter.wait_for_states("done", "done")
        shown = dict(adapter.messages)
        assert adapter.texts[-2:] == [f"*{texts.LONG_ANSWER_ABOVE}*", f"*{texts.MAX_LENGTH_REACHED}*"]
        await adapter.store.write(reopen_delivery, texts.MAX_LENGTH_REACHED)
        await adapter.wait_for_states("done", "done")
        assert adapter.messages == shown

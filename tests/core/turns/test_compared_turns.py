"""What both turns of /compare tell the person if they read a recording or a file, together or one without the other."""

import gc
from pathlib import Path

import pytest

from bots.sandbox.model import SPEECH_MODEL, ModelStandIn, make_recording
from bots.sandbox.model.accounts import Endpoint
from bots.sandbox.model.faults import http_error
from core.buttons import ButtonAction, encode_action
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, EventKind, Incoming, Place, Sender
from core.texts import answers as texts
from core.turns.companion_reads import CompanionReads
from tests.core.turns.fake_adapter import EDITING, FilesAdapter, running_engine

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
ANN = Sender("fake", "5", "Ann")
RECORDING = Attachment("voice message", "a.ogg", 10, file_id="recording", is_audio=True)
FILE = Attachment("file", "a.txt", 10, file_id="text", is_document=True)
GONE = DeliveryError("The file is gone", DeliveryFailure.GONE)


class RecordingsAdapter(FilesAdapter):
    """The files are recordings."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        await super().fetch(attachment, max_bytes)
        return make_recording("repeat: The tide is high.")


async def compare(chat: FilesAdapter, file: Attachment) -> None:
    argument = "phi-4 gemma-2-9b-it"
    await chat.inbox(Incoming(EventKind.COMMAND, "k", PLACE, ANN, argument, command="compare", attachments=(file,)))


async def wait_for_progress(chat: FilesAdapter) -> None:
    """Wait until both turns show what they do."""
    await chat.wait_until(lambda: len(chat.messages) == 2)


@pytest.mark.parametrize("file", [RECORDING, FILE], ids=["recording", "file"])
async def test_failure_for_both_leaves_one_message(tmp_path: Path, model: ModelStandIn, file: Attachment) -> None:
    model.add_model(SPEECH_MODEL)
    chat = FilesAdapter(EDITING)
    chat.close_gate("fetch")
    chat.errors["fetch"] = GONE
    async with running_engine(tmp_path, model, chat, speech_model=SPEECH_MODEL.id):
        await compare(chat, file)
        await wait_for_progress(chat)
        chat.gates["fetch"].set()
        await chat.wait_for_states("done", "merged")
        assert len(chat.messages) == 1
        assert "no longer exists" in chat.texts[0]


@pytest.mark.parametrize("file", [RECORDING, FILE], ids=["recording", "file"])
async def test_second_turn_says_why_if_the_first_was_stopped(
    tmp_path: Path, model: ModelStandIn, file: Attachment
) -> None:
    model.add_model(SPEECH_MODEL)
    chat = FilesAdapter(EDITING)
    chat.close_gate("fetch")
    chat.errors["fetch"] = GONE
    async with running_engine(tmp_path, model, chat, speech_model=SPEECH_MODEL.id):
        await compare(chat, file)
        await wait_for_progress(chat)
        await chat.press(encode_action(ButtonAction.STOP, 1), "1")
        await chat.wait_for_states("stopped", "running", "done")
        chat.gates["fetch"].set()
        await chat.wait_for_states("stopped", "done", "done")
        stopped, refused = sorted(chat.texts, key=lambda text: texts.STOPPED not in text)
        assert texts.STOPPED in stopped
        assert "[2]" in refused.replace("\\", "")


async def test_failing_speech_service_is_asked_once(tmp_path: Path, model: ModelStandIn) -> None:
    model.add_model(SPEECH_MODEL)
    model.fail_next(http_error(400), times=None, endpoint=Endpoint.SPEECH)
    chat = RecordingsAdapter(EDITING)
    chat.close_gate("fetch")
    async with running_engine(tmp_path, model, chat, speech_model=SPEECH_MODEL.id):
        await compare(chat, RECORDING)
        await wait_for_progress(chat)
        chat.gates["fetch"].set()
        await chat.wait_for_states("done", "merged")
        assert len(chat.fetched) == 1


async def test_what_only_one_turn_has_read_is_forgotten(tmp_path: Path, model: ModelStandIn) -> None:
    model.add_model(SPEECH_MODEL)
    chat = RecordingsAdapter(EDITING)
    chat.close_gate("fetch")
    async with running_engine(tmp_path, model, chat, speech_model=SPEECH_MODEL.id):
        await compare(chat, RECORDING)
        await wait_for_progress(chat)
        await chat.press(encode_action(ButtonAction.STOP, 2), "2")
        await chat.wait_for_states("running", "stopped", "done")
        chat.gates["fetch"].set()
        await chat.wait_for_states("done", "stopped", "done")
        reads = [thing for thing in gc.get_objects() if isinstance(thing, CompanionReads)]
        assert reads
        assert "The tide is high." not in str(list(map(vars, reads)))

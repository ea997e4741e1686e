"""Pictures of questions: which model gets them, and what the person is told about those that none gets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import VISION_MODEL, ModelStandIn
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.texts import answers as texts
from core.texts import images as image_texts
from tests.core.turns.fake_adapter import EDITING, FilesAdapter, UploadingAdapter, running_engine
from tests.images import make_image

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
ANN = Sender("fake", "5", "Ann")
PHOTO = Attachment("photo", "garden.jpg", 10, file_id="photo", is_image=True)
BROKEN = replace(PHOTO, name="torn.jpg", file_id="broken")
IMAGE_FILE = Attachment("file", "scan.bin", 10, file_id="photo", is_document=True, is_image=True)
QUOTED = replace(PHOTO, is_quoted=True)
REPLY = Quote(QuoteKind.REPLY, "[photo]", "Bob", message_id="8", is_placeholder=True)


class PicturesAdapter(FilesAdapter, UploadingAdapter):
    """The files are pictures; one is broken."""

    def __init__(self) -> None:
        UploadingAdapter.__init__(self)
        self.fetched = []

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        await super().fetch(attachment, max_bytes)
        content = make_image(64, 48, "JPEG")
        return content[:100] if attachment.file_id == "broken" else content


async def send(
    chat: PicturesAdapter, text: str, *files: Attachment, key: str = "k", quotes: tuple[Quote, ...] = ()
) -> str:
    """Send a message with files and return the reply, without escaping."""
    count = len(chat.messages)
    incoming = Incoming(EventKind.PROMPT, key, PLACE, ANN, text, message_id=key, attachments=files, quotes=quotes)
    await chat.inbox(incoming)
    await chat.wait_until(lambda: len(chat.messages) > count)
    return list(chat.messages.values())[count].strip().replace("\\", "").replace("*", "")


def question_of(model: ModelStandIn, position: int = -1) -> tuple[str, int]:
    """The text of a message in the last request, and how many pictures it has."""
    content: Any = model.requests[-1].body["messages"][position]["content"]
    if isinstance(content, str):
        return content, 0
    return next((part["text"] for part in content if part["type"] == "text"), ""), sum(
        part["type"] == "image_url" for part in content
    )


@pytest.fixture
def seeing(model: ModelStandIn) -> ModelStandIn:
    model.add_model(VISION_MODEL)
    return model


# A model that sees them


async def test_pictures_are_sent_with_the_question_and_the_next_ones(tmp_path: Path, seeing: ModelStandIn) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter(), default_model=VISION_MODEL.id) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        assert "repeated" in await send(chat, "repeat: repeated", PHOTO, BROKEN)
        assert "torn.jpg is damaged; I couldn't open it." in chat.texts[0]
        assert question_of(seeing) == ("repeat: repeated", 1)
        await chat.wait_for_states("done")
        await send(chat, "and now?", key="k2")
        assert question_of(seeing, 1) == ("repeat: repeated\n\n[photo torn.jpg]", 1)
    later = PicturesAdapter()
    later.errors["fetch"] = DeliveryError("Gone", DeliveryFailure.GONE)
    async with running_engine(tmp_path, seeing, later, default_model=VISION_MODEL.id) as chat:
        await chat.models.refresh()
        await send(later, "and later?", key="k3")
        assert question_of(seeing, 1) == ("repeat: repeated\n\n[photo garden.jpg] [photo torn.jpg]", 0)


@pytest.mark.parametrize(
    ("files", "images", "note"),
    [
        ([PHOTO, IMAGE_FILE], 2, ""),
        ([PHOTO] * 2 + [IMAGE_FILE], 2, image_texts.image_limit_reached(2)),
    ],
    ids=["all", "too many"],
)
async def test_pictures_without_words_are_a_question(
    tmp_path: Path, seeing: ModelStandIn, files: list[Attachment], images: int, note: str
) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter(), default_model=VISION_MODEL.id, max_images=2) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        answer = await send(chat, "", *files)
    assert question_of(seeing)[1] == images
    assert chat.fetched == ["scan.bin"], "the same picture, once"
    assert (image_texts.image_limit_reached(2) in answer) is bool(note)


@pytest.mark.parametrize(
    ("file", "text", "reply"),
    [
        (BROKEN, "", "torn.jpg is damaged; I couldn't open it."),
        (BROKEN, "repeat: hello", "torn.jpg is damaged; I couldn't open it."),
        (replace(PHOTO, name="", file_id="broken"), "", "The picture is damaged; I couldn't open it."),
        (replace(IMAGE_FILE, file_id="broken"), "", "scan.bin is damaged; I couldn't open it."),
    ],
    ids=["alone", "with words", "without a name", "file"],
)
async def test_question_about_a_picture_that_cannot_be_opened_is_refused(
    tmp_path: Path, seeing: ModelStandIn, file: Attachment, text: str, reply: str
) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter(), default_model=VISION_MODEL.id) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        assert (await send(chat, text, file)).startswith(reply)
        await chat.wait_for_states("done")
        assert chat.calls[-1].reply_to == "k"
    assert not seeing.requests


async def test_question_about_a_picture_that_cannot_be_fetched_is_refused(tmp_path: Path, seeing: ModelStandIn) -> None:
    adapter = PicturesAdapter()
    adapter.errors["fetch"] = DeliveryError("secret address", DeliveryFailure.GONE)
    async with running_engine(tmp_path, seeing, adapter, default_model=VISION_MODEL.id) as chat:
        await chat.models.refresh()
        reply = await send(adapter, "repeat: hello", PHOTO)
    assert reply == image_texts.image_not_fetched(DeliveryFailure.GONE, 1)
    assert not seeing.requests


async def test_quoted_picture_that_cannot_be_opened_leaves_the_question(tmp_path: Path, seeing: ModelStandIn) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter(), default_model=VISION_MODEL.id) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        answer = await send(chat, "repeat: hello", replace(BROKEN, is_quoted=True), quotes=(REPLY,))
        assert answer.endswith("torn.jpg is damaged; I couldn't open it.")
    assert question_of(seeing)[1] == 0


async def test_stop_while_a_picture_is_opened(tmp_path: Path, seeing: ModelStandIn) -> None:
    adapter = PicturesAdapter()
    adapter.private_capabilities = EDITING
    adapter.close_gate("fetch")
    async with running_engine(tmp_path, seeing, adapter, default_model=VISION_MODEL.id) as chat:
        await chat.models.refresh()
        await send(adapter, "", PHOTO)
        await chat.wait_for_text(image_texts.OPENING)
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        assert chat.texts[0] == f"*{texts.STOPPED}*"
    assert not seeing.requests


@pytest.mark.parametrize(
    ("file", "requests", "reply"),
    [(IMAGE_FILE, 1, "[file scan.bin]"), (PHOTO, 0, texts.unreadable_attachments(["photo"]))],
    ids=["file", "photo"],
)
async def test_pictures_may_be_for_no_model(
    tmp_path: Path, seeing: ModelStandIn, file: Attachment, requests: int, reply: str
) -> None:
    seeing.answer = lambda body: str(body["messages"][-1]["content"])
    async with running_engine(tmp_path, seeing, PicturesAdapter(), default_model=VISION_MODEL.id, max_images=0) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        assert await send(chat, "", file) == reply
    assert len(seeing.requests) == requests


# A model that does not


async def test_another_model_is_offered_that_sees(tmp_path: Path, seeing: ModelStandIn) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter()) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        name = chat.models.display_name(VISION_MODEL.id)
        offer = await send(chat, "repeat: seen", PHOTO)
        assert offer.endswith(f"can't see pictures, but {name} can.")
        await chat.wait_for_states("failed")
        assert chat.buttons["1"] == [image_texts.ask_model_button(name)]
        assert not seeing.requests
        (action,) = chat.button_actions["1"]
        await chat.press(action, "1")
        await chat.wait_for_text("seen")
        assert question_of(seeing) == ("repeat: seen", 1)
        assert seeing.requests[-1].body["model"] == VISION_MODEL.id


async def test_reply_to_a_picture_is_answered_without_it(tmp_path: Path, seeing: ModelStandIn) -> None:
    async with running_engine(tmp_path, seeing, PicturesAdapter()) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        names = (
            chat.models.display_name(chat.services.settings.default_model),
            chat.models.display_name(VISION_MODEL.id),
        )
        answer = await send(chat, "repeat: hello", QUOTED, quotes=(REPLY,))
        assert answer.endswith(image_texts.quoted_image_not_seen(*names))
        assert image_texts.ask_model_button(names[1]) in chat.buttons["1"]


@pytest.mark.parametrize(
    ("text", "file", "reply"),
    [
        ("repeat: hello", PHOTO, f"hello\n\n[photo garden.jpg]\n\n{image_texts.NO_VISION}"),
        ("repeat: hello", QUOTED, "hello\n\n[photo garden.jpg]"),
        ("", PHOTO, texts.unreadable_attachments(["photo"])),
        ("", IMAGE_FILE, texts.unreadable_attachments(["file"])),
    ],
    ids=["text", "text in reply", "picture", "file"],
)
async def test_without_any_model_that_sees_only_the_text_is_answered(
    tmp_path: Path, model: ModelStandIn, text: str, file: Attachment, reply: str
) -> None:
    async with running_engine(tmp_path, model, PicturesAdapter()) as chat:
        assert isinstance(chat, PicturesAdapter)
        await chat.models.refresh()
        assert await send(chat, text, file, quotes=(REPLY,) if file.is_quoted else ()) == reply
    assert len(model.requests) == bool(text)

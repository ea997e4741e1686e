from typing import Any

import pytest
from telegram import Update, User

from bots.telegram.translate import translate
from core.port import Attachment, Incoming, Kind, Place, Sender
from tests.bots.telegram.payloads import (
    ADA,
    BOB,
    BOT,
    FORUM,
    GROUP,
    OTHER_BOT,
    PRIVATE,
    addressed,
    command,
    entity,
    message,
)

ME = User(123456, "Parley", is_bot=True, username="parley_bot")
KNOWN = frozenset({"model", "ask"})


def read(**content: Any) -> Incoming | None:
    return translate(Update.de_json({"update_id": 5, **content}, None), ME, KNOWN)


def taken(content: dict[str, Any]) -> Incoming:
    incoming = read(message=content)
    assert incoming is not None
    return incoming


def test_private_text() -> None:
    assert read(message=message(PRIVATE, "Hello  there")) == Incoming(
        kind=Kind.PROMPT,
        key="u5",
        place=Place("telegram", "123456", "42", private=True),
        sender=Sender("telegram", "42", "Ada Lovelace", language="en"),
        text="Hello  there",
        message="7",
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("@parley_bot what is this?", "what is this?"),
        ("@Parley_Bot, what is this?", "what is this?"),
        ("😀👩‍👩‍👧 @parley_bot what is 𝕏?", "😀👩‍👩‍👧 what is 𝕏?"),
        ("what is this, @parley_bot", "what is this,"),
        ("@parley_bot", ""),
    ],
)
def test_a_mention_in_a_group_is_taken_out(text: str, left: str) -> None:
    name = next(word for word in text.replace(",", " ").split() if word.startswith("@"))
    incoming = taken(message(GROUP, text, entities=[entity(text, name, "mention")]))
    assert (incoming.kind, incoming.text) == (Kind.PROMPT, left)
    assert not incoming.place.private


def test_a_mention_without_a_user_name() -> None:
    text = "Parley: hello"
    mention = entity(text, "Parley", "text_mention", user=BOT)
    assert taken(message(GROUP, text, entities=[mention])).text == "hello"


def test_the_name_stays_in_a_private_chat() -> None:
    assert taken(addressed(PRIVATE, "is @parley_bot you?")).text == "is @parley_bot you?"


@pytest.mark.parametrize(
    "content",
    [
        message(GROUP, "just talking"),
        message(
            GROUP, "hi @other_bot", entities=[entity("hi @other_bot", "@other_bot", "mention")]
        ),
        message(GROUP, "indeed", reply_to_message=message(GROUP, "well", **{"from": BOB})),
        command(GROUP, "/weather today"),
        command(GROUP, "/model@other_bot x"),
        message(GROUP, new_chat_members=[BOB]),
        message(GROUP, sticker=None, photo=[]),
        message(PRIVATE, pinned_message=message(PRIVATE, "old")),
    ],
)
def test_what_is_not_for_the_bot(content: dict[str, Any]) -> None:
    assert read(message=content) is None


def test_a_reply_to_the_bot_is_for_it() -> None:
    answer = message(GROUP, "42", message_id=3, **{"from": BOT})
    incoming = taken(message(GROUP, "why?", reply_to_message=answer))
    assert (incoming.text, incoming.reply_to) == ("why?", "3")


def test_a_mention_in_a_reply_to_somebody_names_what_it_answers() -> None:
    said = message(GROUP, "well", message_id=4, **{"from": BOB})
    assert taken(addressed(GROUP, "@parley_bot true?", reply_to_message=said)).reply_to == "4"


@pytest.mark.parametrize(
    ("content", "name", "argument"),
    [
        (command(GROUP, "/model@parley_bot llama 3"), "model", "llama 3"),
        (command(GROUP, "/MODEL@Parley_Bot"), "model", ""),
        (command(GROUP, "/model llama"), "model", "llama"),
        (command(GROUP, "/what@parley_bot"), "what", ""),
        (command(PRIVATE, "/what is\nthis"), "what", "is\nthis"),
        (command(PRIVATE, "/ask 😀 hi"), "ask", "😀 hi"),
    ],
)
def test_commands(content: dict[str, Any], name: str, argument: str) -> None:
    incoming = taken(content)
    assert (incoming.kind, incoming.command, incoming.text) == (Kind.COMMAND, name, argument)


def test_a_command_after_the_mention() -> None:
    text = "@parley_bot /model llama"
    entities = [entity(text, "@parley_bot", "mention"), entity(text, "/model", "bot_command")]
    incoming = taken(message(GROUP, text, entities=entities))
    assert (incoming.command, incoming.text) == ("model", "llama")


def test_a_command_inside_a_sentence_is_text() -> None:
    text = "what does /model do?"
    content = message(PRIVATE, text, entities=[entity(text, "/model", "bot_command")])
    assert (taken(content).kind, taken(content).text) == (Kind.PROMPT, text)


@pytest.mark.parametrize(
    "service", [{"forum_topic_created": {"name": "T", "icon_color": 1}}, {}], ids=["seen", "bare"]
)
def test_a_forum_topic_is_a_place_of_its_own(service: dict[str, Any]) -> None:
    root = message(FORUM, None, message_id=55, message_thread_id=55, **service) | {"from": BOT}
    topic: dict[str, Any] = {
        "is_topic_message": True,
        "message_thread_id": 55,
        "reply_to_message": root,
    }
    incoming = taken(addressed(FORUM, "@parley_bot hi", **topic))
    assert (incoming.place.thread, incoming.reply_to) == ("55", None)
    # What is said in a topic the bot opened is not said to the bot.
    assert read(message=message(FORUM, "hello all", **topic)) is None


def test_the_general_topic_is_not_named() -> None:
    general = {"is_topic_message": True, "message_thread_id": 1}
    assert taken(addressed(FORUM, "@parley_bot hi", **general)).place.thread is None
    assert taken(addressed(FORUM, "@parley_bot hi")).place.thread is None


def test_a_chain_of_replies_is_not_a_topic() -> None:
    assert taken(addressed(GROUP, "@parley_bot hi", message_thread_id=3)).place.thread is None


def test_a_topic_in_a_private_chat() -> None:
    place = taken(message(PRIVATE, "hi", is_topic_message=True, message_thread_id=9)).place
    assert (place.thread, place.private) == ("9", True)


def press(shown: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "q1", "from": BOB, "chat_instance": "c", "message": shown, **more}


def test_a_button_is_pressed_by_the_person_not_by_its_author() -> None:
    shown = message(
        FORUM, "Pick", is_topic_message=True, message_thread_id=55, message_id=12, **{"from": BOT}
    )
    incoming = read(callback_query=press(shown, data="m:3"))
    assert incoming is not None
    assert (incoming.kind, incoming.text, incoming.message) == (Kind.BUTTON, "m:3", "12")
    assert (incoming.sender.user, incoming.place.thread) == ("43", "55")


def test_a_button_on_an_inaccessible_message() -> None:
    incoming = read(
        callback_query=press({"chat": GROUP, "message_id": 12, "date": 0}, data="stop:1")
    )
    assert incoming is not None
    assert (incoming.text, incoming.message, incoming.place.chat) == ("stop:1", "12", "-1001")


def test_a_button_without_a_message_is_not_ours() -> None:
    query = {"id": "q", "from": ADA, "chat_instance": "c", "inline_message_id": "x", "data": "d"}
    assert read(callback_query=query) is None


def test_the_clients_own_stop() -> None:
    incoming = read(
        stopped_message_generation={"chat": PRIVATE, "message_thread_id": 9, "draft_id": 77}
    )
    assert incoming is not None
    assert (incoming.kind, incoming.text) == (Kind.STOP, "77")
    assert (incoming.place.chat, incoming.place.thread, incoming.place.private) == ("42", "9", True)
    assert (incoming.sender.user, incoming.sender.name) == ("42", "Ada Lovelace")


FILE = {"file_id": "f", "file_unique_id": "u"}


@pytest.mark.parametrize(
    ("content", "attachment"),
    [
        (
            {"sticker": FILE | {"type": "regular", "width": 1, "height": 1, "emoji": "👍"}
             | {"is_animated": False, "is_video": False}},
            Attachment("sticker", "👍", ref="f"),
        ),
        (
            {"photo": [FILE | {"width": 1, "height": 1, "file_size": size} for size in (10, 900)]},
            Attachment("photo", "", 900, "f"),
        ),
        ({"voice": FILE | {"duration": 3, "file_size": 5}}, Attachment("voice message", "", 5, "f")),
        (
            {"document": FILE | {"file_name": "a.pdf", "file_size": 12}
             | {"mime_type": "application/pdf"}},
            Attachment("file", "a.pdf", 12, "f", "application/pdf"),
        ),
        (
            {"animation": FILE | {"width": 1, "height": 1, "duration": 1}, "document": FILE},
            Attachment("GIF", ref="f"),
        ),
        ({"location": {"latitude": 1.0, "longitude": 2.0}}, Attachment("location")),
        ({"rich_message": {"blocks": []}}, Attachment("rich message")),
    ],
)  # fmt: skip
def test_attachments(content: dict[str, Any], attachment: Attachment) -> None:
    incoming = taken(message(PRIVATE, **content))
    assert (incoming.attachments, incoming.text) == ((attachment,), "")


def test_a_caption_is_the_text() -> None:
    caption = "@parley_bot what is this?"
    incoming = taken(
        message(
            GROUP,
            document=FILE,
            caption=caption,
            caption_entities=[entity(caption, "@parley_bot", "mention")],
        )
    )
    assert (incoming.text, len(incoming.attachments)) == ("what is this?", 1)


def test_bots_and_channels_are_not_answered() -> None:
    assert read(message=addressed(GROUP, "@parley_bot hi", **{"from": OTHER_BOT})) is None
    channel = {"id": -1009, "type": "channel", "title": "News"}
    posted = addressed(GROUP, "@parley_bot hi", sender_chat=channel, is_automatic_forward=True)
    assert read(message=posted) is None
    assert read(channel_post=message(channel, "hi")) is None


def test_an_anonymous_administrator_manages_the_group() -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    incoming = taken(
        command(GROUP, "/model@parley_bot x", sender_chat=GROUP, **{"from": anonymous})
    )
    assert incoming.sender == Sender("telegram", "-1001", "Engines", manages=True)
    assert not taken(command(GROUP, "/model x")).sender.manages


def test_edits_are_not_answered_again() -> None:
    assert read(edited_message=message(PRIVATE, "hello", edit_date=1_700_000_001)) is None


def test_a_quote_stands_above_the_question() -> None:
    answer = message(PRIVATE, "first\nsecond", message_id=3, **{"from": BOT})
    quote = {"text": "first\nsecond", "position": 0, "is_manual": True}
    incoming = taken(message(PRIVATE, "why?", reply_to_message=answer, quote=quote))
    assert (incoming.text, incoming.reply_to) == ("> first\n> second\n\nwhy?", "3")
    automatic = quote | {"is_manual": False}
    again = taken(message(PRIVATE, "why?", reply_to_message=answer, quote=automatic))
    assert again.text == "why?"


@pytest.mark.parametrize(
    "service",
    [
        message(GROUP | {"id": -5, "type": "group"}, None, migrate_to_chat_id=-1005),
        message(GROUP | {"id": -1005}, None, migrate_from_chat_id=-5),
        message(
            GROUP | {"id": -1005}, None, migrate_from_chat_id=-5, **{"from": None},
            sender_chat=GROUP | {"id": -1005},
        ),
    ],
)  # fmt: skip
def test_a_group_that_becomes_a_supergroup_says_so_in_both(service: dict[str, Any]) -> None:
    moved = taken(service)
    assert (moved.kind, moved.place.chat, moved.text) == (Kind.MOVED, "-5", "-1005")
    assert not moved.place.private


@pytest.mark.parametrize(
    ("content", "batch"),
    [
        (message(PRIVATE, "short"), None),
        (message(PRIVATE, "x" * 4096), ""),
        (message(PRIVATE, "😀" * 2048), ""),
        (message(GROUP, "/ask " + "x" * 4000, entities=[entity("/ask x", "/ask", "bot_command")]), None),
        (addressed(GROUP, "@parley_bot " + "x" * 4000), None),
        (message(PRIVATE, None, caption="look", media_group_id="77", document={"file_id": "f", "file_unique_id": "u"}), "77"),
    ],
)  # fmt: skip
def test_what_may_be_one_of_several_messages(content: dict[str, Any], batch: str | None) -> None:
    assert taken(content).batch == batch

from typing import Any

import pytest
from telegram import Update, User

from bots.sandbox.stand_in import Json
from bots.telegram.translate import translate
from core.port import Attachment, Batch, EventKind, Incoming, Place, Quote, QuoteKind, Sender
from tests.bots.telegram.payloads import (
    ADA,
    BOB,
    BOT,
    FORUM,
    GROUP,
    OTHER_BOT,
    PRIVATE,
    command,
    entity,
    mention_message,
    message,
)

ME = User(123456, "Parley", is_bot=True, username="parley_bot")
COMMANDS = frozenset({"model", "ask"})


def to_incoming(**content: Json) -> Incoming | None:
    return translate(Update.de_json({"update_id": 5, **content}, None), ME, COMMANDS)


def translate_message(content: Json) -> Incoming:
    incoming = to_incoming(message=content)
    assert incoming is not None
    return incoming


def test_private_text() -> None:
    assert to_incoming(message=message(PRIVATE, "Hello  there")) == Incoming(
        kind=EventKind.PROMPT,
        key="u5",
        place=Place("telegram", "123456", "42", is_private=True),
        sender=Sender("telegram", "42", "Ada Lovelace", language="en"),
        text="Hello  there",
        message_id="7",
    )


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("@parley_bot what is this?", "what is this?"),
        ("@Parley_Bot, what is this?", "what is this?"),
        ("😀👩‍👩‍👧 @parley_bot what is 𝕏?", "😀👩‍👩‍👧 what is 𝕏?"),
        ("what is this, @parley_bot", "what is this,"),
        ("@parley_bot", ""),
    ],
)
def test_mention_is_stripped_from_prompt(text: str, prompt: str) -> None:
    name = next(word for word in text.replace(",", " ").split() if word.startswith("@"))
    incoming = translate_message(message(GROUP, text, entities=[entity(text, name, "mention")]))
    assert (incoming.kind, incoming.text) == (EventKind.PROMPT, prompt)
    assert not incoming.place.is_private


def test_mention_without_user_name() -> None:
    text = "Parley: hello"
    mention = entity(text, "Parley", "text_mention", user=BOT)
    assert translate_message(message(GROUP, text, entities=[mention])).text == "hello"


def test_mention_stays_in_private_chat() -> None:
    assert translate_message(mention_message(PRIVATE, "is @parley_bot you?")).text == "is @parley_bot you?"


@pytest.mark.parametrize(
    "content",
    [
        message(GROUP, "just talking"),
        message(GROUP, "hi @other_bot", entities=[entity("hi @other_bot", "@other_bot", "mention")]),
        message(GROUP, "indeed", reply_to_message=message(GROUP, "well", **{"from": BOB})),
        command(GROUP, "/weather today"),
        command(GROUP, "/model@other_bot x"),
        message(GROUP, new_chat_members=[BOB]),
        message(GROUP, sticker=None, photo=[]),
        message(PRIVATE, pinned_message=message(PRIVATE, "old")),
    ],
)
def test_unrelated_messages_are_ignored(content: Json) -> None:
    assert to_incoming(message=content) is None


def test_reply_to_bot_is_prompt() -> None:
    answer = message(GROUP, "42", message_id=3, **{"from": BOT})
    incoming = translate_message(message(GROUP, "why?", reply_to_message=answer))
    assert incoming.text == "why?"
    assert incoming.quotes == (Quote(QuoteKind.REPLY, "42", "Parley", "3", is_own=True),)


def test_mention_in_reply_includes_replied_message() -> None:
    replied = message(GROUP, "well", message_id=4, **{"from": BOB})
    incoming = translate_message(mention_message(GROUP, "@parley_bot true?", reply_to_message=replied))
    assert incoming.quotes == (Quote(QuoteKind.REPLY, "well", "Bob", "4"),)


RICH = {
    "blocks": [
        {"type": "heading", "text": "Tea", "size": 1},
        {"type": "paragraph", "text": ["See ", {"type": "url", "text": "here", "url": "https://e.org"}]},
        {
            "type": "table",
            "cells": [
                [
                    {"text": "kind", "align": "left", "valign": "top"},
                    {"text": "price", "align": "left", "valign": "top"},
                ],
                [{"text": {"type": "bold", "text": "green"}}, {"text": {"type": "code", "text": "2"}}],
            ],
        },
        {
            "type": "list",
            "items": [
                {"label": "1.", "blocks": [{"type": "paragraph", "text": "boil"}]},
                {"label": "•", "has_checkbox": True, "is_checked": True, "blocks": [{"type": "pre", "text": "a\nb"}]},
            ],
        },
        {"type": "details", "summary": "Why", "blocks": [{"type": "mathematical_expression", "expression": "x^2"}]},
        {"type": "divider"},
        {"type": "photo", "photo": [], "caption": {"text": "Our garden"}},
        "no block",
    ]
}
RICH_TEXT = """\
Tea

See here (https://e.org)

kind | price
green | 2

1. boil
- [x] a
   b

Why
x^2

---

[photo]
Our garden"""


def test_reply_to_rich_message_includes_its_text() -> None:
    answer = message(PRIVATE, None, message_id=3, rich_message=RICH, **{"from": BOT})
    incoming = translate_message(message(PRIVATE, "why?", reply_to_message=answer))
    assert incoming.quotes == (Quote(QuoteKind.REPLY, RICH_TEXT, "Parley", "3", is_own=True),)
    quote = {"text": "", "position": 0, "is_manual": True, "rich_texts": ["Tea", {"type": "bold", "text": "green"}]}
    incoming = translate_message(message(PRIVATE, "why?", reply_to_message=answer, quote=quote))
    assert incoming.quotes == (Quote(QuoteKind.REPLY, "Tea\ngreen", "Parley", "3", is_own=True, is_excerpt=True),)


def test_rich_message_of_a_person_is_a_question() -> None:
    incoming = translate_message(message(PRIVATE, rich_message=RICH))
    assert (incoming.text, incoming.attachments) == (RICH_TEXT, ())


@pytest.mark.parametrize(
    "content", [None, "x", {"blocks": "x"}, {"blocks": [{"type": 5, "text": [1, {"text": None}]}]}]
)
def test_rich_message_without_readable_text_is_named(content: Any) -> None:
    incoming = translate_message(message(PRIVATE, rich_message=content, caption="hi"))
    assert (incoming.text, [file.kind for file in incoming.attachments]) == (
        "hi",
        ["rich message"] if content is not None else [],
    )


def test_deep_rich_message_is_read_without_recursion_error() -> None:
    text: Any = "deep"
    block: Any = {"type": "paragraph", "text": "deep"}
    for _ in range(200):
        text = {"type": "bold", "text": [text]}
        block = {"type": "blockquote", "blocks": [block]}
    nested = {"blocks": [block, {"type": "paragraph", "text": text}, {"type": "paragraph", "text": "end"}]}
    assert translate_message(message(PRIVATE, rich_message=nested)).text == "end"


def test_quote_is_no_argument_of_command() -> None:
    replied = message(GROUP, "a long text", message_id=4, **{"from": BOB})
    quote = {"text": "long", "position": 2, "is_manual": True}
    incoming = translate_message(command(GROUP, "/model llama", reply_to_message=replied, quote=quote))
    assert (incoming.command, incoming.text) == ("model", "llama")


def test_message_of_another_chat_is_quoted() -> None:
    origin = {"type": "channel", "date": 1, "chat": {"id": -1009, "type": "channel", "title": "News"}, "message_id": 8}
    external = {"origin": origin, "photo": [FILE | {"width": 1, "height": 1}]}
    question = message(PRIVATE, "true?", external_reply=external, quote={"text": "It rains", "position": 0})
    assert translate_message(question).quotes == (Quote(QuoteKind.REPLY, "It rains", "News", is_excerpt=True),)
    question = message(PRIVATE, "true?", external_reply=external)
    assert translate_message(question).quotes == (Quote(QuoteKind.REPLY, "[photo]", "News"),)


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
def test_commands(content: Json, name: str, argument: str) -> None:
    incoming = translate_message(content)
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.COMMAND, name, argument)


def test_command_after_mention() -> None:
    text = "@parley_bot /model llama"
    entities = [entity(text, "@parley_bot", "mention"), entity(text, "/model", "bot_command")]
    incoming = translate_message(message(GROUP, text, entities=entities))
    assert (incoming.command, incoming.text) == ("model", "llama")


def test_command_inside_sentence_is_text() -> None:
    text = "what does /model do?"
    content = message(PRIVATE, text, entities=[entity(text, "/model", "bot_command")])
    assert (translate_message(content).kind, translate_message(content).text) == (EventKind.PROMPT, text)


@pytest.mark.parametrize(
    "service", [{"forum_topic_created": {"name": "T", "icon_color": 1}}, {}], ids=["with_root", "without_root"]
)
def test_forum_topic_is_own_place(service: Json) -> None:
    root = message(FORUM, None, message_id=55, message_thread_id=55, **service) | {"from": BOT}
    topic: Json = {
        "is_topic_message": True,
        "message_thread_id": 55,
        "reply_to_message": root,
    }
    incoming = translate_message(mention_message(FORUM, "@parley_bot hi", **topic))
    assert (incoming.place.thread, incoming.quotes) == ("55", ())
    # A message in a topic that the bot opened is not a reply to the bot.
    assert to_incoming(message=message(FORUM, "hello all", **topic)) is None


def test_general_topic_has_no_thread() -> None:
    general = {"is_topic_message": True, "message_thread_id": 1}
    assert translate_message(mention_message(FORUM, "@parley_bot hi", **general)).place.thread is None
    assert translate_message(mention_message(FORUM, "@parley_bot hi")).place.thread is None


def test_reply_chain_is_not_topic() -> None:
    assert translate_message(mention_message(GROUP, "@parley_bot hi", message_thread_id=3)).place.thread is None


def test_topic_in_private_chat() -> None:
    place = translate_message(message(PRIVATE, "hi", is_topic_message=True, message_thread_id=9)).place
    assert (place.thread, place.is_private) == ("9", True)


def test_topic_in_private_chat_without_mark() -> None:
    assert translate_message(message(PRIVATE, "hi", message_thread_id=9)).place.thread == "9"
    assert translate_message(message(PRIVATE, "hi", message_thread_id=1)).place.thread is None


def test_reply_in_general_topic_has_no_thread() -> None:
    assert translate_message(mention_message(FORUM, "@parley_bot hi", message_thread_id=12)).place.thread is None


def callback_query(message: Json, **fields: Any) -> Json:
    return {"id": "q1", "from": BOB, "chat_instance": "c", "message": message, **fields}


def test_button_sender_is_presser() -> None:
    menu = message(FORUM, "Pick", is_topic_message=True, message_thread_id=55, message_id=12, **{"from": BOT})
    incoming = to_incoming(callback_query=callback_query(menu, data="m:3"))
    assert incoming is not None
    assert (incoming.kind, incoming.text, incoming.message_id) == (EventKind.BUTTON, "m:3", "12")
    assert (incoming.sender.user, incoming.place.thread) == ("43", "55")


def test_button_on_inaccessible_message() -> None:
    incoming = to_incoming(callback_query=callback_query({"chat": GROUP, "message_id": 12, "date": 0}, data="stop:1"))
    assert incoming is not None
    assert (incoming.text, incoming.message_id, incoming.place.chat) == ("stop:1", "12", "-1001")


def test_button_without_message_is_ignored() -> None:
    query = {"id": "q", "from": ADA, "chat_instance": "c", "data": "d"}
    assert to_incoming(callback_query=query) is None


def test_client_stop() -> None:
    incoming = to_incoming(stopped_message_generation={"chat": PRIVATE, "message_thread_id": 9, "draft_id": 77})
    assert incoming is not None
    assert (incoming.kind, incoming.text) == (EventKind.STOP, "77")
    assert (incoming.place.chat, incoming.place.thread, incoming.place.is_private) == ("42", "9", True)
    assert (incoming.sender.user, incoming.sender.name) == ("42", "Ada Lovelace")


FILE = {"file_id": "f", "file_unique_id": "u"}
THUMBNAIL = {"thumbnail": {"file_id": "t", "file_unique_id": "v", "width": 1, "height": 1, "file_size": 7}}
STICKER = {"type": "regular", "width": 1, "height": 1, "emoji": "👍", "is_animated": False, "is_video": False}


@pytest.mark.parametrize(
    ("content", "attachment"),
    [
        (
            {"sticker": FILE | STICKER},
            Attachment("sticker", "👍", file_id="f", is_image=True),
        ),
        (
            {"sticker": FILE | THUMBNAIL | STICKER | {"is_animated": True}},
            Attachment("sticker", "👍", 7, "t", is_image=True),
        ),
        (
            {"animation": FILE | THUMBNAIL | {"width": 1, "height": 1, "duration": 1}, "document": FILE | THUMBNAIL},
            Attachment("GIF", "", 7, "t", is_image=True),
        ),
        (
            {"photo": [FILE | {"width": 1, "height": 1, "file_size": size} for size in (10, 900)]},
            Attachment("photo", "", 900, "f", is_image=True),
        ),
        (
            {"voice": FILE | {"duration": 3, "file_size": 5}},
            Attachment("voice message", "", 5, "f", is_audio=True),
        ),
        (
            {"document": FILE | {"file_name": "a.pdf", "file_size": 12} | {"mime_type": "application/pdf"}},
            Attachment("file", "a.pdf", 12, "f", is_document=True),
        ),
        (
            {"animation": FILE | {"width": 1, "height": 1, "duration": 1}, "document": FILE},
            Attachment("GIF", file_id="f"),
        ),
        ({"rich_message": {"blocks": []}}, Attachment("rich message")),
    ],
)
def test_attachments(content: Json, attachment: Attachment) -> None:
    incoming = translate_message(message(PRIVATE, **content))
    assert (incoming.attachments, incoming.text) == ((attachment,), "")


def test_picture_of_replied_message_is_attached() -> None:
    """But not that of a bot."""
    by_bot: Json = {"from": OTHER_BOT}
    photo: Json = {"photo": [FILE | {"width": 1, "height": 1}]}
    own = message(PRIVATE, "why?", reply_to_message=message(PRIVATE, message_id=3, **photo))
    expected = Attachment("photo", file_id="f", is_image=True, is_quoted=True)
    assert translate_message(own).attachments == (expected,)
    bots = message(PRIVATE, "why?", reply_to_message=message(PRIVATE, message_id=3, **photo, **by_bot))
    assert translate_message(bots).attachments == ()


def test_album_in_group_may_be_for_bot() -> None:
    photo: Json = {"photo": [FILE | {"width": 1, "height": 1}]}
    part = translate_message(message(GROUP, media_group_id="7", **photo))
    assert (part.kind, part.batch, len(part.attachments)) == (EventKind.FORWARD, Batch("7"), 1)
    assert to_incoming(message=message(GROUP, **photo)) is None
    assert to_incoming(edited_message=message(GROUP, media_group_id="7", **photo)) is None


POLL = {
    "id": "1",
    "question": "When?",
    "options": [
        {"text": text, "voter_count": votes, "persistent_id": text} for text, votes in (("Friday", 2), ("Monday", 0))
    ],
    "total_voter_count": 2,
    "is_closed": False,
    "is_anonymous": True,
    "type": "regular",
    "allows_multiple_answers": False,
    "allows_revoting": False,
    "members_only": False,
}
LOCATION = {"latitude": 1.5, "longitude": -2.5}
VENUE = {"location": LOCATION, "title": "Harbour", "address": "Quay 1"}
TASKS = [{"id": 1, "text": "Pack"}, {"id": 2, "text": "Pay", "completion_date": 1_700_000_000}]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"poll": POLL}, "Poll: When?\n- Friday (2)\n- Monday (0)"),
        ({"location": LOCATION}, "Location: 1.5, -2.5"),
        ({"venue": VENUE, "location": LOCATION}, "Place: Harbour, Quay 1\nLocation: 1.5, -2.5"),
        ({"contact": {"phone_number": "+4470", "first_name": "Bob", "last_name": "B."}}, "Contact: Bob B., +4470"),
        ({"checklist": {"title": "Trip", "tasks": TASKS}}, "Checklist: Trip\n- [ ] Pack\n- [x] Pay"),
        (
            {"text": "read this", "entities": [entity("read this", "this", "text_link", url="https://example.com/a")]},
            "read this\n\nhttps://example.com/a",
        ),
        (
            {"text": "see", "link_preview_options": {"url": "https://example.com/b"}},
            "see\n\nhttps://example.com/b",
        ),
        (
            {"text": "https://example.com/c", "link_preview_options": {"url": "https://example.com/c"}},
            "https://example.com/c",
        ),
    ],
    ids=["poll", "location", "place", "contact", "checklist", "link", "preview", "visible link"],
)
def test_what_is_not_plain_text_is_read(content: Json, text: str) -> None:
    incoming = translate_message(message(PRIVATE, **content))
    assert (incoming.text, incoming.attachments) == (text, ())
    reply = message(PRIVATE, "why?", reply_to_message=message(PRIVATE, message_id=3, **content))
    assert [quote.text for quote in translate_message(reply).quotes] == [text]


def test_caption_is_text() -> None:
    caption = "@parley_bot what is this?"
    incoming = translate_message(
        message(
            GROUP,
            document=FILE,
            caption=caption,
            caption_entities=[entity(caption, "@parley_bot", "mention")],
        )
    )
    assert (incoming.text, len(incoming.attachments)) == ("what is this?", 1)


def test_bots_and_channels_are_ignored() -> None:
    assert to_incoming(message=mention_message(GROUP, "@parley_bot hi", **{"from": OTHER_BOT})) is None
    channel = {"id": -1009, "type": "channel", "title": "News"}
    post = mention_message(GROUP, "@parley_bot hi", sender_chat=channel, is_automatic_forward=True)
    assert to_incoming(message=post) is None
    assert to_incoming(channel_post=message(channel, "hi")) is None


def test_anonymous_administrator_is_manager() -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    incoming = translate_message(command(GROUP, "/model@parley_bot x", sender_chat=GROUP, **{"from": anonymous}))
    assert incoming.sender == Sender("telegram", "-1001", "Engines", is_manager=True, is_anonymous=True)
    assert not translate_message(command(GROUP, "/model x")).sender.is_manager


def test_edit_has_new_text() -> None:
    edited = to_incoming(edited_message=message(PRIVATE, "hello", edit_date=1_700_000_001))
    assert edited is not None
    assert (edited.kind, edited.message_id, edited.text, edited.key) == (EventKind.EDIT, "7", "hello", "u5")
    assert to_incoming(edited_message=message(GROUP, "hello", edit_date=1_700_000_001)) is None


def test_movement_of_live_location_is_no_edit() -> None:
    moved = {"latitude": 52.5, "longitude": 13.4, "live_period": 3600}
    assert to_incoming(message=message(PRIVATE, location=moved)) is not None
    assert to_incoming(edited_message=message(PRIVATE, location=moved, edit_date=1_700_000_001)) is None


def test_selected_part_is_quoted() -> None:
    answer = message(PRIVATE, "zeroth\nfirst\nsecond", message_id=3, **{"from": BOT})
    quote = {"text": "first\nsecond", "position": 7, "is_manual": True}
    incoming = translate_message(message(PRIVATE, "why?", reply_to_message=answer, quote=quote))
    assert incoming.text == "why?"
    assert incoming.quotes == (Quote(QuoteKind.REPLY, "first\nsecond", "Parley", "3", is_own=True, is_excerpt=True),)
    automatic = quote | {"is_manual": False}
    incoming = translate_message(message(PRIVATE, "why?", reply_to_message=answer, quote=automatic))
    assert incoming.quotes == (Quote(QuoteKind.REPLY, "zeroth\nfirst\nsecond", "Parley", "3", is_own=True),)


ORIGINS = {
    "user": ({"type": "user", "sender_user": BOB}, "Bob"),
    "hidden user": ({"type": "hidden_user", "sender_user_name": "Somebody"}, "Somebody"),
    "chat": ({"type": "chat", "sender_chat": GROUP}, "Engines"),
    "channel": ({"type": "channel", "chat": {"id": -9, "type": "channel", "title": "News"}, "message_id": 1}, "News"),
}


@pytest.mark.parametrize(("origin", "name"), ORIGINS.values(), ids=ORIGINS)
def test_forward_is_quote(origin: Json, name: str) -> None:
    forward = command(PRIVATE, "/model llama", forward_origin={"date": 1, **origin})
    incoming = translate_message(forward)
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.PROMPT, "", "")
    assert incoming.quotes == (Quote(QuoteKind.FORWARD, "/model llama", name, "7"),)
    assert incoming.batch == Batch()


def test_forward_in_group_is_no_question() -> None:
    origin = {"type": "user", "sender_user": BOB, "date": 1}
    forward = mention_message(GROUP, "@parley_bot hi", forward_origin=origin)
    incoming = translate_message(forward)
    assert (incoming.kind, incoming.text) == (EventKind.FORWARD, "")
    assert incoming.quotes == (Quote(QuoteKind.FORWARD, "@parley_bot hi", "Bob", "8"),)
    assert to_incoming(edited_message=forward | {"edit_date": 2}) is None
    reply = mention_message(GROUP, "@parley_bot true?", reply_to_message=message(GROUP, "x", forward_origin=origin))
    assert [quote.author for quote in translate_message(reply).quotes] == ["Bob"]


@pytest.mark.parametrize(
    "service",
    [
        message(GROUP | {"id": -5, "type": "group"}, None, migrate_to_chat_id=-1005),
        message(GROUP | {"id": -1005}, None, migrate_from_chat_id=-5),
        message(
            GROUP | {"id": -1005},
            None,
            migrate_from_chat_id=-5,
            **{"from": None},
            sender_chat=GROUP | {"id": -1005},
        ),
    ],
)
def test_migration_is_reported_by_both_chats(service: Json) -> None:
    incoming = translate_message(service)
    assert (incoming.kind, incoming.place.chat, incoming.text) == (EventKind.MOVED, "-5", "-1005")
    assert not incoming.place.is_private


@pytest.mark.parametrize(
    ("content", "batch"),
    [
        (message(PRIVATE, "short"), None),
        (message(PRIVATE, "x" * 4096), Batch()),
        (message(PRIVATE, "😀" * 2048), Batch()),
        (
            message(GROUP, "/ask " + "x" * 4000, entities=[entity("/ask x", "/ask", "bot_command")]),
            None,
        ),
        (mention_message(GROUP, "@parley_bot " + "x" * 4000), None),
        (
            message(
                PRIVATE,
                None,
                caption="look",
                media_group_id="77",
                document={"file_id": "f", "file_unique_id": "u"},
            ),
            Batch("77"),
        ),
    ],
)
def test_batch_of_split_messages_and_albums(content: Json, batch: Batch | None) -> None:
    assert translate_message(content).batch == batch


def membership(chat: Json, old: str, new: str, **fields: Any) -> Json:
    before, after = ({"user": BOT, "status": status, "until_date": 0} for status in (old, new))
    return {"chat": chat, "from": ADA, "date": 0, "old_chat_member": before, "new_chat_member": after, **fields}


def test_addition_to_a_group_is_an_event() -> None:
    incoming = to_incoming(my_chat_member=membership(GROUP, "left", "member"))
    assert incoming is not None
    assert (incoming.kind, incoming.place.chat, incoming.sender.user) == (EventKind.ADDED, "-1001", "42")
    assert incoming.message_id is None


@pytest.mark.parametrize(
    "change",
    [
        membership(GROUP, "member", "left"),
        membership(GROUP, "member", "kicked"),
        membership(PRIVATE, "kicked", "member"),
        membership({"id": -1003, "type": "channel", "title": "News"}, "left", "member"),
        {**membership(GROUP, "left", "member"), "from": OTHER_BOT},
    ],
)
def test_other_changes_of_membership_are_no_events(change: Json) -> None:
    assert to_incoming(my_chat_member=change) is None

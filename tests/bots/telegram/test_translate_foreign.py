"""Translation of what people do in chats that the bot is not in."""

from typing import Any

import pytest

from bots.sandbox.stand_in import Json
from core.port import EventKind, Incoming, Place, Sender
from tests.bots.telegram.payloads import ADA, BOB, BOT, GROUP, OTHER_BOT, PRIVATE, entity, mention_message, message
from tests.bots.telegram.test_translate import to_incoming

PLACE = Place("telegram", "123456", "42", thread="inline-x1", is_foreign=True)
ADA_SENDER = Sender("telegram", "42", "Ada Lovelace", language="en")


def chosen(**fields: Any) -> Json:
    return {"result_id": "ask", "from": ADA, "query": "why?", "inline_message_id": "x1", **fields}


def guest(text: str, **fields: Any) -> Json:
    return mention_message(GROUP, text, **{"guest_query_id": "g1", **fields})


def test_chosen_question() -> None:
    assert to_incoming(chosen_inline_result=chosen()) == Incoming(
        EventKind.PROMPT, "inline:x1", PLACE, ADA_SENDER, "why?", interaction_token="inline:x1"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"result_id": "text-1"},
        {"inline_message_id": None},
        {"from": OTHER_BOT},
        {"result_id": ""},
        {"inline_message_id": "x" * 101},
    ],
)
def test_other_choices_ask_nothing(fields: Json) -> None:
    payload = {key: value for key, value in chosen(**fields).items() if value is not None}
    assert to_incoming(chosen_inline_result=payload) is None


def test_press_in_a_foreign_chat() -> None:
    query = {"id": "q", "from": ADA, "chat_instance": "c", "inline_message_id": "x1", "data": "stop:1"}
    assert to_incoming(callback_query=query) == Incoming(
        EventKind.BUTTON, "u5", PLACE, ADA_SENDER, "stop:1", message_id="x1", interaction_token="inline:x1"
    )


def test_guest_question_depends_on_its_person_alone() -> None:
    incoming = to_incoming(guest_message=guest("@parley_bot why?"))
    assert incoming is not None
    assert incoming.place == Place("telegram", "123456", "42", thread="guest-g1", is_foreign=True)
    assert (incoming.kind, incoming.key, incoming.text) == (EventKind.PROMPT, "guest:g1", "why?")
    assert (incoming.sender, incoming.interaction_token) == (ADA_SENDER, "guest:g1")


def test_command_to_a_guest_is_a_question() -> None:
    text = "/ask@parley_bot why?"
    payload = message(GROUP, text, guest_query_id="g1", entities=[entity(text, "/ask@parley_bot", "bot_command")])
    incoming = to_incoming(guest_message=payload)
    assert incoming is not None
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.PROMPT, "ask", "why?")


def test_guest_question_quotes_what_it_replies_to() -> None:
    original = message(GROUP, "Whales are fish.", message_id=3, **{"from": BOB})
    incoming = to_incoming(guest_message=guest("@parley_bot true?", reply_to_message=original))
    assert incoming is not None
    assert [(quote.text, quote.author, quote.message_id) for quote in incoming.quotes] == [
        ("Whales are fish.", "Bob", None)
    ]


def test_files_of_guests_are_not_read_but_pictures_are_seen() -> None:
    file = {"file_id": "f", "file_unique_id": "u", "file_size": 3}
    photo = [{**file, "width": 90, "height": 60}]
    seen = to_incoming(guest_message=message(GROUP, guest_query_id="g1", caption="@parley_bot what?", photo=photo))
    unread = to_incoming(guest_message=message(GROUP, guest_query_id="g1", caption="@parley_bot what?", document=file))
    assert seen is not None
    assert unread is not None
    assert [attachment.is_image for attachment in seen.attachments] == [True]
    assert [(attachment.name, attachment.file_id) for attachment in unread.attachments] == [("", "")]


@pytest.mark.parametrize(
    "fields",
    [
        {"guest_query_id": None},
        {"guest_query_id": "g" * 101},
        {"from": None, "sender_chat": GROUP},
        {"sender_chat": GROUP},
        {"from": OTHER_BOT},
    ],
)
def test_only_people_summon_the_bot(fields: Json) -> None:
    assert to_incoming(guest_message=guest("@parley_bot why?", **fields)) is None


def test_message_of_an_own_inline_query_is_no_question() -> None:
    assert to_incoming(message=message(PRIVATE, "why?", via_bot=BOT)) is None
    assert to_incoming(message=message(PRIVATE, "why?", via_bot=OTHER_BOT)) is not None


def test_forwarded_message_of_an_own_inline_query_is_read() -> None:
    origin = {"type": "user", "sender_user": BOB, "date": 1}
    incoming = to_incoming(message=message(PRIVATE, "why? Because.", via_bot=BOT, forward_origin=origin))
    assert incoming is not None
    assert [(quote.text, quote.author) for quote in incoming.quotes] == [("why? Because.", "Bob")]

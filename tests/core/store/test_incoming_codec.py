"""Events as they are stored, and what remains of them when they are done."""

from dataclasses import replace
from typing import cast

import pytest

from core.buttons import ButtonAction, encode_action
from core.port import Attachment, EventKind, Incoming, Quote, QuoteKind
from core.store.incoming_codec import (
    MessagePiece,
    StoredIncoming,
    as_stored,
    compared_model,
    decode_incoming,
    encode_incoming,
    erase_content,
    text_length,
    with_compared_model,
)
from tests.core.store.turn_helpers import message_event

QUESTION = replace(
    message_event("m7", "My secret"),
    message_id="7",
    command="ask",
    quotes=(Quote(QuoteKind.REPLY, "Her secret"),),
    attachments=(Attachment("file", "secret.pdf", 5, "f1"),),
    place_language="de",
    is_confidential=True,
    form_text="Secret",
    interaction_token="t1",
)


def press(action: str) -> Incoming:
    return replace(message_event("i8", action), kind=EventKind.BUTTON, message_id="9", interaction_token="t1")


def erased(incoming: Incoming) -> StoredIncoming:
    remains = decode_incoming(erase_content(encode_incoming(incoming)))
    assert remains is not None
    return remains


@pytest.mark.parametrize(
    ("pieces", "length"), [([("1", 5)], 5), ([("1", 5), ("2", 0)], 6), ([("1", 5), ("2", 3), ("3", 1)], 11)]
)
def test_messages_are_separated_by_line_breaks(pieces: list[tuple[str, int]], length: int) -> None:
    assert text_length([MessagePiece(*piece) for piece in pieces]) == length


def test_stored_event_is_read_again() -> None:
    stored = as_stored(QUESTION, pieces=(MessagePiece("7", 9),), was_first_waiting=True)
    assert decode_incoming(encode_incoming(stored)) == stored
    assert decode_incoming(encode_incoming(QUESTION)) == as_stored(QUESTION)


@pytest.mark.parametrize("encoded", ["", "{", "[]", "null", '{"kind":"of a newer version"}'])
def test_unreadable_event_is_none_and_stays_as_it_is(encoded: str) -> None:
    assert decode_incoming(encoded) is None
    assert erase_content(encoded) == encoded


def test_event_that_nobody_could_read_again_is_not_stored() -> None:
    with pytest.raises(TypeError):
        encode_incoming(replace(QUESTION, text=cast("str", 5)))


def test_question_of_a_comparison_names_its_model() -> None:
    compared = with_compared_model(QUESTION, "m7#2", "Why?", "phi-4")
    assert (compared.key, compared.text, compared_model(compared)) == ("m7#2", "Why?", "phi-4")
    assert compared.attachments == QUESTION.attachments
    assert compared_model(QUESTION) == compared_model(as_stored(QUESTION)) == ""


def test_content_of_a_question_is_erased() -> None:
    pieces = (MessagePiece("7", 9), MessagePiece("8", 2))
    expected = StoredIncoming(
        EventKind.PROMPT,
        "m7",
        QUESTION.place,
        QUESTION.sender,
        "",
        message_id="7",
        command="ask",
        is_confidential=True,
        pieces=pieces,
    )
    assert erased(as_stored(QUESTION, pieces=pieces, compared_model="phi-4")) == expected


@pytest.mark.parametrize(
    ("action", "text", "token"),
    [
        (encode_action(ButtonAction.SHOW_REASONING, 3), "think:3", "t1"),
        (encode_action(ButtonAction.STOP, 3), "stop:3", None),
        (encode_action(ButtonAction.APPROVE, "telegram:6"), "let:", None),
        (encode_action(ButtonAction.REFUSE, "telegram:6"), encode_action(ButtonAction.REFUSE, ""), None),
        ("of a newer version", "of a newer version", None),
    ],
)
def test_press_keeps_what_the_next_press_needs(action: str, text: str, token: str | None) -> None:
    remains = erased(press(action))
    assert (remains.text, remains.message_id, remains.interaction_token) == (text, "9", token)

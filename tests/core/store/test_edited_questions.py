from dataclasses import replace
from functools import partial

import pytest

from core.port import EventKind
from core.store import edited_questions, inbound, incoming_codec
from core.store.database import Store
from core.store.inbound import AcceptResult, InboundLimits
from tests.core.store.turn_helpers import accept_event, answer, claim, message_event


async def test_edit_decodes_no_turn_before_its_question(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does, it has locked the conversation."""
    questions = [replace(message_event(f"u{number}"), message_id=f"m{number}") for number in range(3)]
    for question in questions:
        await store.write(partial(accept_event, incoming=question))
        [turn] = await claim(store)
        await answer(store, turn, "hello", "Hi.")
    decoded: list[str] = []

    def decode_incoming(event_json: str) -> object:
        decoded.append(event_json)
        return incoming_codec.decode_incoming(event_json)

    monkeypatch.setattr(edited_questions, "decode_incoming", decode_incoming)
    edit = replace(questions[-1], kind=EventKind.EDIT, key="edit", text="better")
    accept_edit = partial(inbound.accept_edit, conversation_key="ann", person_key="telegram:5", limits=InboundLimits())
    assert await store.write(partial(accept_edit, incoming=edit)) is AcceptResult.NEW
    assert len(decoded) == 1

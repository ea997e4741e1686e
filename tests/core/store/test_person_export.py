"""What the export of a person contains."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import update

from core.port import Place, Sender
from core.store.answers import store_answer
from core.store.database import Store
from core.store.people import Person
from core.store.person_export import export_person
from core.store.schema import messages, turns
from core.store.turns import TurnState, finish_turn
from tests.core.store.turn_helpers import ANN, accept_event, answer, claim, message_event

GROUP = Place("telegram", "1", "-7")
BOB = Sender("telegram", "6", "Bob")


async def test_export_has_only_ones_own_part_of_a_shared_conversation(store: Store) -> None:
    for sender in (ANN, BOB):
        event = replace(message_event(sender.name, place=GROUP), sender=sender)
        person_key = f"telegram:{sender.user}"
        await store.write(
            partial(accept_event, incoming=event, conversation_key="telegram:1:-7::", person_key=person_key)
        )
        (turn,) = await claim(store)
        await answer(store, turn, f"{sender.name}'s question", f"for {sender.name}")
    (conversation,) = (await store.read(export_person, Person("telegram", "5"))).conversations
    assert conversation.is_shared
    assert [message.text for message in conversation.messages] == ["Ann's question", "for Ann"]


@pytest.mark.parametrize("state", [TurnState.DONE, TurnState.FAILED])
async def test_export_has_what_the_bot_said_and_not_why_a_delivery_failed(store: Store, state: TurnState) -> None:
    await store.write(partial(accept_event, incoming=message_event("1"), conversation_key="telegram:1:5::"))
    (turn,) = await claim(store)
    noted = partial(store_answer, prompt="what?", answer="yes", note="Sources: a.pdf", model="m")
    await store.write(noted, turn)
    await store.write(finish_turn, turn, state, "not delivered: forbidden")
    (conversation,) = (await store.read(export_person, Person("telegram", "5"))).conversations
    assert conversation.messages[1].note == "Sources: a.pdf"


async def test_export_has_no_reason_of_a_failure_from_before_0029(store: Store) -> None:
    await store.write(partial(accept_event, incoming=message_event("1"), conversation_key="telegram:1:5::"))
    (turn,) = await claim(store)
    await answer(store, turn, "what?", "yes")
    failed = update(turns).values(state=TurnState.FAILED, note="not delivered: forbidden")
    await store.write(lambda connection: connection.execute(failed))
    (conversation,) = (await store.read(export_person, Person("telegram", "5"))).conversations
    assert conversation.messages[1].note == ""


async def test_export_names_the_model_also_of_answers_from_before_0026(store: Store) -> None:
    await store.write(partial(accept_event, incoming=message_event("1"), conversation_key="telegram:1:5::"))
    (turn,) = await claim(store)
    await answer(store, turn, "what?", "yes")
    await store.write(lambda connection: connection.execute(update(messages).values(model=None)))
    (conversation,) = (await store.read(export_person, Person("telegram", "5"))).conversations
    assert [message.model for message in conversation.messages] == ["", "m"]

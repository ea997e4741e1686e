"""What the export of a person contains."""

from dataclasses import replace
from functools import partial

from core.port import Place, Sender
from core.store.database import Store
from core.store.people import Person
from core.store.person_export import export_person
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

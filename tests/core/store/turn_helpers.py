"""Turns of Ann's, on the way from acceptance to answer."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, update

from core.api.events import UsageReport
from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.store import answers, claims, inbound, schema, turns
from core.store.database import Store
from core.store.history import load_history
from core.store.image_references import ImageReference
from core.store.inbound import AcceptResult, InboundLimits
from core.store.turns import Turn, TurnState

ACCOUNT = AccountKey("telegram", "1")
PLACE = Place("telegram", "1", "5", is_private=True)
ANN = Sender("telegram", "5", "Ann")


def message_event(key: str, text: str = "hello", *, place: Place = PLACE) -> Incoming:
    return Incoming(EventKind.PROMPT, key, place, ANN, text)


accept_event = partial(
    inbound.accept_event, conversation_key="ann", person_key="telegram:5", ordered=True, limits=InboundLimits()
)


async def accept(
    store: Store,
    key: str,
    *,
    conversation: str = "ann",
    ordered: bool = True,
    limits: InboundLimits = InboundLimits(),  # noqa: B008 (immutable)
) -> AcceptResult:
    event = message_event(key)
    return await store.write(
        partial(accept_event, incoming=event, conversation_key=conversation, ordered=ordered, limits=limits)
    )


async def claim(store: Store, owner: str = "me", *, lease_seconds: float = 30) -> list[Turn]:
    return await store.write(claims.claim_turns, owner, [ACCOUNT], lease_seconds=lease_seconds, limit=50)


async def answer(
    store: Store,
    turn: Turn,
    prompt: str,
    text: str,
    *,
    replaces_last: bool = False,
    images: Sequence[ImageReference] = (),
) -> None:
    """Store an answer to a turn that `me` has claimed, and finish the turn."""
    await store.write(
        answers.store_answer,
        turn,
        prompt=prompt,
        answer=text,
        note="",
        model="m",
        usage=UsageReport(3, 4),
        replaces_last=replaces_last,
        images=images,
    )
    await store.write(turns.finish_turn, turn, TurnState.DONE)


def end_batch_window(connection: Connection) -> None:
    """As if the time had passed in which more messages of a batch can follow."""
    connection.execute(update(schema.turns).values(not_before=0))


def make_older(connection: Connection, seconds: float) -> None:
    """As if all turns had been stored so much earlier."""
    connection.execute(update(schema.turns).values(created_at=schema.turns.c.created_at - seconds))


async def history_texts(store: Store, conversation_id: int, before_seq: int | None = None) -> list[str]:
    stored = await store.read(load_history, conversation_id, before_seq, 50)
    return [message.text for message in stored.messages]

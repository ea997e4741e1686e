"""A small database with rows in every table: `python -m tests.core.store.sample_database` prints it as SQL.

Before a release, its output replaces `data/previous_version.sql`, which the next version must be able to migrate.
"""

import asyncio
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core.api.catalogue import Model
from core.api.events import UsageReport
from core.api.service_facts import Fact, FactKind
from core.conversation.vault import open_vault
from core.errors import ModelError, ModelFailure
from core.port import AccountKey, Attachment, Batch, Button, EventKind, Incoming, Place, Sender
from core.scopes import conversation_key, person_key
from core.store import (
    access_requests,
    answer_parts,
    answers,
    claims,
    conversations,
    grants,
    history,
    inbound,
    key_values,
    learned_facts,
    leases,
    memories,
    model_pauses,
    personal_keys,
    preferences,
    rate_limits,
    token_usage,
    turns,
)
from core.store.answer_parts import PartState, SentPart
from core.store.chat_migration import move_chat
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.preferences import Preference, PreferenceName
from core.store.suggested_questions import save_suggested_question
from core.store.token_usage import UsageKey, UsageKind
from core.store.turns import Turn, TurnState
from core.timings import Timings
from tests.core.store.turn_helpers import end_batch_window

MODEL, EMBEDDER = "meta-llama/Llama-3.3-70B-Instruct", "some/embedder"
FAKE, DISCORD = AccountKey("fake", "1"), AccountKey("discord", "2")
PRIVATE = Place("fake", "1", "5", is_private=True)
GROUP, MOVED_GROUP = Place("fake", "1", "-7"), Place("fake", "1", "-1007")
THREAD = Place("discord", "2", "20", thread="21", server="40")
ANN = Sender("fake", "5", "Ann", language="en", is_manager=True)
BOB, CAROL, DAN = Sender("fake", "6", "Bob"), Sender("fake", "8", "Carol"), Sender("fake", "9", "Dan")
QUESTION = 'What is "ref": for?'
NO_LIMITS = InboundLimits()
YEARS = 1e9
"""In seconds."""


@dataclass(frozen=True, slots=True)
class SampleWriter:
    store: Store

    async def accept(
        self, kind: EventKind, key: str, place: Place, sender: Sender, text: str, *, ordered: bool = True, **fields: Any
    ) -> None:
        limits = fields.pop("limits", NO_LIMITS)
        accept = partial(
            inbound.accept_event,
            incoming=Incoming(kind, key, place, sender, text, **fields),
            conversation_key=conversation_key(place, sender, shared=False),
            person_key=person_key(sender),
            ordered=ordered,
            limits=limits,
            timings=Timings(batch_window=60),
        )
        await self.store.write(accept)

    async def claim(self, key: str, account: AccountKey = FAKE, *, lease_seconds: float = 0.0) -> Turn:
        """Claim everything that can be claimed, and return the turn of one event."""
        claimed = await self.store.write(
            claims.claim_turns, "earlier", [account], lease_seconds=lease_seconds, limit=50
        )
        return next(turn for turn in claimed if turn.incoming.key == key)

    async def answer(self, turn: Turn, prompt: str, text: str, **values: Any) -> None:
        values = {"note": "", "usage": UsageReport(30, 7), **values}
        store_answer = partial(answers.store_answer, prompt=prompt, answer=text, model=MODEL, **values)
        await self.store.write(store_answer, turn)

    async def finish(self, turn: Turn) -> None:
        await self.store.write(turns.finish_turn, turn, TurnState.DONE)


async def fill(store: Store) -> None:
    writer = SampleWriter(store)
    await _add_conversation(writer)
    await _add_batch_and_refusals(writer)
    await _add_open_turns(writer)
    await _add_memories(store)
    await _add_settings(store)
    await _add_usage(store)


async def _add_conversation(writer: SampleWriter) -> None:
    """Messages before /new, an answer with everything, and a /retry of it."""
    store = writer.store
    await writer.accept(EventKind.PROMPT, "u0", PRIVATE, ANN, "before /new")
    turn = await writer.claim("u0")
    await writer.answer(turn, "before /new", "forgotten")
    await writer.finish(turn)
    await writer.accept(EventKind.COMMAND, "u1", PRIVATE, ANN, "", ordered=False, command="new")
    turn = await writer.claim("u1")
    await store.write(conversations.reset_history, turn.conversation_id, turn.id)
    await writer.finish(turn)

    await writer.accept(EventKind.PROMPT, "u2", PRIVATE, ANN, QUESTION, message_id="2")
    turn = await writer.claim("u2")
    buttons = (Button("Retry", "retry:3"), Button("Reasoning", "think:3", is_destructive=True))
    await writer.answer(
        turn,
        QUESTION,
        "The first answer.",
        note="full",
        is_personal_key=True,
        buttons_json=msgspec.json.encode(buttons).decode(),
        reasoning="They ask about JSON.",
    )
    await writer.finish(turn)
    await writer.accept(EventKind.COMMAND, "u3", PRIVATE, ANN, "", command="retry")
    turn = await writer.claim("u3")
    await writer.answer(turn, QUESTION, "The second answer.", replaces_last=True)
    await writer.finish(turn)
    await store.write(conversations.mark_truncation_notified, turn.conversation_id)
    stored = await store.read(history.load_history, turn.conversation_id, None, 50)
    summary = history.ConversationSummary(stored.messages[-1].id, "They talked about JSON.")
    await store.write(history.save_summary, turn.conversation_id, summary, MODEL, 0)


async def _add_batch_and_refusals(writer: SampleWriter) -> None:
    """An album, a refusal that the person has read and one that waits."""
    files = [Attachment("file", "a.txt", 12, "file-a", is_document=True), Attachment("photo", file_id="photo-b")]
    for number, text in enumerate(("first", "second", "third")):
        attachments = tuple(files[number : number + 1])
        await writer.accept(
            EventKind.PROMPT,
            f"b{number}",
            GROUP,
            BOB,
            text,
            batch=Batch("album"),
            message_id=f"{10 + number}",
            attachments=attachments,
        )
    full, fast = InboundLimits(max_open=1), InboundLimits(max_per_minute=1)
    await writer.accept(EventKind.PROMPT, "b5", GROUP, BOB, "too many", limits=full, message_id="15")
    await writer.accept(EventKind.PROMPT, "b6", GROUP, BOB, "too fast", limits=fast)
    await writer.finish(await writer.claim("b6"))
    await writer.store.write(end_batch_window)
    turn = await writer.claim("b0")
    await writer.answer(turn, "first\nsecond\nthird", "An answer to all.")
    await writer.finish(turn)


async def _add_open_turns(writer: SampleWriter) -> None:
    """Delivering in a group that has moved, running, queued, the beginning of a batch, cancelled with a token."""
    store = writer.store
    await writer.accept(EventKind.PROMPT, "c1", GROUP, CAROL, "a long question", message_id="30")
    turn = await writer.claim("c1")
    await writer.answer(turn, "a long question", "A long answer.", note="A note.")
    states = (PartState.SENT, PartState.SENDING, PartState.UNCERTAIN, PartState.REJECTED)
    for position, (state, digest) in enumerate(zip(states, "abcd", strict=True)):
        part = SentPart(state, "31" if state is PartState.SENT else None, digest)
        await store.write(answer_parts.save_part, turn, position, part)
    await store.write(move_chat, FAKE, GROUP.chat, MOVED_GROUP.chat)
    await store.write(answer_parts.save_part, turn, 4, SentPart(PartState.SENT, "35", "e"))

    await writer.accept(EventKind.PROMPT, "u4", PRIVATE, ANN, "repeat: begun before the update", message_id="40")
    await writer.claim("u4")
    await writer.accept(EventKind.PROMPT, "u5", PRIVATE, ANN, "repeat: waiting since before")
    other_chat = replace(PRIVATE, chat="9")
    await writer.accept(EventKind.PROMPT, "d1", other_chat, DAN, "repeat: the first half", batch=Batch())

    ann = replace(ANN, platform="discord")
    await writer.accept(EventKind.COMMAND, "i1", THREAD, ann, "hello", command="ask", interaction_token="token-of-i1")
    turn = await writer.claim("i1", DISCORD, lease_seconds=YEARS)
    await store.write(claims.cancel_turns, turn.conversation_id, turn.id + 1)


async def _add_memories(store: Store) -> None:
    ann, bob = (conversation_key(place, sender, shared=False) for place, sender in ((PRIVATE, ANN), (MOVED_GROUP, BOB)))
    vectors = np.eye(4, dtype=np.float32)
    note = memories.NewChunk("note", "The code is 1234")
    pages = [memories.NewChunk(f"page {number}", f"Text of page {number}.") for number in (1, 2)]
    for kind, name, chunks in (("note", note.text, [note]), ("pdf", "report.pdf", pages)):
        add = partial(memories.add_entry, kind=kind, name=name, digest=f"{kind}-digest", model=EMBEDDER)
        await store.write(partial(add, chunks=chunks, vectors=vectors[: len(chunks)]), ann)
    await store.write(memories.set_recall_mode, ann, memories.RecallMode.WITH_MESSAGES)
    unindexed = await store.read(memories.list_unindexed_messages, ann, 1)
    await store.write(memories.index_messages, ann, EMBEDDER, unindexed, vectors[3:])
    await store.write(memories.delete_all, bob)
    await store.write(memories.set_recall_mode, bob, memories.RecallMode.OFF)


async def _add_settings(store: Store) -> None:
    for scope, name, value in (
        ("person:fake:5", PreferenceName.MODEL, MODEL),
        ("chat:fake:1:-1007", PreferenceName.SHARED_CONVERSATION, "on"),
        ("thread:discord:2:20:21", PreferenceName.SYSTEM_PROMPT, "Be brief."),
        ("server:discord:40", PreferenceName.ANSWER_LENGTH, "500"),
    ):
        await store.write(preferences.set_preference, scope, name, Preference(value, "Ann"))
    await store.write(grants.grant, "fake:person:5", grants.Role.OPERATOR, "Ann")
    await store.write(grants.grant, "fake:chat:-1007", grants.Role.MEMBER, "")
    stranger = Incoming(EventKind.PROMPT, "s1", replace(PRIVATE, chat="10"), replace(DAN, user="10"), "let me in")
    await store.write(access_requests.request_access, stranger, "Dan", None)
    await store.write(save_suggested_question, "token", "fake:5", "why is the sky blue?")
    vault = await open_vault(store, "a passphrase")
    await store.write(personal_keys.save_encrypted_key, "fake:5", vault.encrypt("a key of Ann's", "fake:5"))
    models = [
        Model(MODEL, 64_000, has_reasoning=True, daily_quota=500_000),
        Model(EMBEDDER, 512, is_embedding_model=True),
    ]
    await store.write(key_values.set_value, "catalogue", msgspec.json.encode(models).decode())
    await store.write(key_values.set_value, "discord.missed.2.1.0", "3 session")
    await store.write(key_values.set_value, "pairing", f"hash {YEARS}")


async def _add_usage(store: Store) -> None:
    key = UsageKey("bot-key", MODEL, UsageKind.CHAT, "2026-01-31")
    for booked, tokens in ((key, 37), (replace(key, kind=UsageKind.EMBEDDINGS), 4)):
        reservation = await store.write(token_usage.reserve, booked, 50, None)
        assert reservation is not None
        await store.write(token_usage.settle_reservation, reservation.id, tokens)
    await store.write(token_usage.reserve, key, 900, None)
    await store.write(token_usage.mark_exhausted, replace(key, model="other/model"))
    await store.write(token_usage.add_daily_usage, ["person:fake:5", "chat:fake:1:-1007"], key.day, 37, 1)
    await store.write(leases.try_acquire, "telegram:polling", "earlier", YEARS)
    await store.write(rate_limits.save_platform_wait, FAKE, "-8", YEARS)
    await store.write(rate_limits.save_platform_wait, DISCORD, "", YEARS)
    fact = Fact(MODEL, FactKind.REJECTED_PART, "stream_options")
    await store.write(learned_facts.save_facts, "127.0.0.1/v1", [fact], YEARS)
    error = ModelError("HTTP 503", ModelFailure.UNAVAILABLE, status=503)
    await store.write(model_pauses.save_pause, "127.0.0.1/v1", "bot-key", MODEL, error, YEARS)


async def _print_dump() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parley.sqlite3"
        store = Store(f"sqlite:///{path}")
        await store.open()
        await fill(store)
        await store.close()
        with closing(sqlite3.connect(path)) as database:
            sys.stdout.writelines(f"{line}\n" for line in database.iterdump())


if __name__ == "__main__":
    asyncio.run(_print_dump())

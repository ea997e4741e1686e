"""No query of the product scans a table that grows, on either database.

Every function of the store runs on a database with many rows, and the plan of each of its statements is read. By
default there are 10,000 messages; the long form takes PLANS_MESSAGES=1000000.
"""

import importlib
import inspect
import json
import os
import pkgutil
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, text

import core.store
from core.api.events import UsageReport
from core.api.service_facts import Fact, FactKind
from core.errors import ModelError, ModelFailure
from core.port import Batch, EventKind, Incoming, Quote, QuoteKind
from core.store import (
    access_requests,
    answer_parts,
    answers,
    batches,
    chat_migration,
    claims,
    conversations,
    edited_questions,
    erasure,
    grants,
    history,
    inbound,
    key_values,
    learned_facts,
    leases,
    load,
    memories,
    model_pauses,
    overview,
    own_answers,
    people,
    person_export,
    personal_keys,
    preferences,
    rate_limits,
    recent_activity,
    retention,
    schema,
    suggested_questions,
    token_usage,
    transcripts,
    turn_log,
    turns,
)
from core.store.answer_parts import PartState, SentPart
from core.store.claims import ClaimFilter
from core.store.database import Store
from core.store.history import ConversationSummary
from core.store.inbound import InboundLimits
from core.store.memories import NewChunk, RecallMode, UnindexedChunk, UnindexedMessage
from core.store.preferences import Preference, PreferenceName
from core.store.token_usage import UsageKey, UsageKind
from core.store.turns import LostLeaseError, Turn, TurnState
from core.timings import Timings
from tests.core.store import many_rows
from tests.core.store.turn_helpers import ACCOUNT, ANN, PLACE
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url

MESSAGES = int(os.environ.get("PLANS_MESSAGES", "10000"))
KEY = "telegram:1:5::"
PERSON = "telegram:5"
PERSON_SUBJECT = "telegram:person:5"
MODEL = UsageKey("key", "m", UsageKind.CHAT, "2026-01-01")
LIMITS = InboundLimits(5, 50, 1000)
NO_VECTORS = np.zeros((1, 2), np.float32)

SMALL_TABLES = {
    "access_requests",
    "alembic_version",
    "grants",
    "key_values",
    "leases",
    "learned_facts",
    "model_pauses",
    "rate_limits",
    "reservations",
}
"""As large as the operator's configuration, or what is going on at the moment."""
OPEN_TURNS = {"ix_turns_open", "ix_turns_next", "ix_turns_person_open"}
"""Indexes of open turns only, of which there are few."""
BOUNDED = {
    "delete_messages": "the oldest rows, up to a limit",
    "delete_memories": "the oldest rows, up to a limit",
    "delete_reasoning": "the oldest rows, up to a limit",
    "list_latest_turns": "the newest rows, up to a limit",
    "move_chat": "a platform moves a chat once",
    "delete_inactive_conversations": "once an hour",
    "erase_person": "a person asks for it",
    "export_person": "a person asks for it",
    "find_conversations": "a person asks for their data",
    "member_scopes": "a person asks for their data",
    "setting_scopes": "a person asks for their data",
    "list_chats": "an operator checks the setup",
    "list_encrypted_keys": "an operator checks the setup",
}
"""Functions that may scan a table that grows."""
SERVER_ONLY = {"chat_activity"}
"""An embedded database has no other process to ask about."""


@dataclass(slots=True)
class Plans:
    """The plans of the statements that run on one connection, and the functions that scan or sort."""

    function: str = ""
    statements: int = 0
    scans: dict[str, set[str]] = field(default_factory=dict)
    sorts: set[str] = field(default_factory=set)

    def explain(
        self, connection: Connection, _cursor: object, sql: str, parameters: Any, _context: object, many: bool
    ) -> None:
        if sql.startswith(("EXPLAIN", "BEGIN", "ANALYZE", "SET")) or not self.function:
            return
        self.statements += 1
        first = parameters[0] if many else parameters
        is_sqlite = connection.dialect.name == "sqlite"
        plan = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN' if is_sqlite else '(FORMAT JSON)'} {sql}", first)
        rows = plan.all()
        if any(re.search("TEMP B-TREE FOR|'Node Type': '(Incremental )?Sort'", str(row)) for row in rows):
            self.sorts.add(self.function)
        details = [scan for row in rows for scan in (sqlite_scans(row[3]) if is_sqlite else postgresql_scans(row[0]))]
        if details:
            self.scans.setdefault(self.function, set()).update(details)


def sqlite_scans(detail: str) -> Iterator[str]:
    """`SCAN turns USING INDEX ix`, but not `SEARCH turns USING INDEX ix (id=?)`."""
    match = re.fullmatch(r"SCAN (\w+?)(?:_\d+)?( USING (?:COVERING )?INDEX (\w+))?", detail)
    if match and match[1] not in SMALL_TABLES and match[3] not in OPEN_TURNS and match[1] in schema.metadata.tables:
        yield f"{match[1]} by {match[3]}"


def postgresql_scans(plan: Any) -> Iterator[str]:
    for root in json.loads(plan) if isinstance(plan, str) else plan:
        yield from _scans_below(root["Plan"])


def _scans_below(node: dict[str, Any], *, is_limited: bool = False) -> Iterator[str]:
    is_scan = node["Node Type"] in ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")
    index = node.get("Index Name")
    is_small = node.get("Relation Name") in SMALL_TABLES or index in OPEN_TURNS
    reads_few_rows = is_limited and "Filter" not in node
    if is_scan and not is_small and not reads_few_rows and "Index Cond" not in node:
        yield f"{node.get('Relation Name')} by {index}"
    for child in node.get("Plans", ()):
        yield from _scans_below(child, is_limited=node["Node Type"] == "Limit")


def store_functions() -> set[str]:
    """Those that are the body of a transaction."""
    modules = [
        importlib.import_module(f"core.store.{module.name}")
        for module in pkgutil.iter_modules(core.store.__path__)
        if module.name not in ("backup", "dialect", "migrate", "migrations")  # a backup reads everything
    ]
    return {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and next(iter(inspect.signature(function).parameters), "") == "connection"
    }


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path) if request.param == "sqlite" else postgresql_url())
    await store.write(many_rows.insert_rows, MESSAGES, 5)
    yield store
    await store.close()


def run_everything(connection: Connection) -> Plans:
    """Every function of the store, with arguments like the product's."""
    plans, called = Plans(), set[str]()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_seqscan = off"))  # the rows are few enough to scan them

    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        plans.function = function.__name__
        called.add(function.__name__)
        try:
            return function(connection, *args, **kwargs)
        finally:
            plans.function = ""

    event.listen(connection, "before_cursor_execute", plans.explain)
    try:
        run_all(run)
    finally:
        event.remove(connection, "before_cursor_execute", plans.explain)
    assert store_functions() - called == set(), "functions without a call here"
    return plans


def run_all(run: Callable[..., Any]) -> None:
    turn = run_turn(run)
    run_commands(run, turn)
    run_memory(run)
    run_operation(run)
    run_retention(run)
    run_privacy(run)


def event_of(key: str, **fields: Any) -> Incoming:
    return Incoming(EventKind.PROMPT, key, PLACE, ANN, **{"text": "hello", "message_id": key} | fields)


def run_turn(run: Callable[..., Any]) -> Turn:
    """An answer, from its question to its end."""
    accept = {"conversation_key": KEY, "person_key": PERSON, "limits": LIMITS}
    run(inbound.accept_event, event_of("a", batch=Batch()), ordered=True, **accept)
    run(inbound.accept_event, event_of("b"), ordered=True, **accept)
    forward = (Quote(QuoteKind.FORWARD, "quoted", message_id="c"),)
    run(inbound.accept_event, event_of("c", text="", quotes=forward), ordered=True, **accept)
    run(batches.merge_into_batch, event_of("c3"), 1, PERSON, Timings(), 1000)
    run(batches.find_batch, event_of("c3"), 1, PERSON, Timings())
    run(batches.join_waiting, event_of("c4"), 1, PERSON)
    run(inbound.accept_forward, event_of("c2", text="", quotes=forward), conversation_key=KEY, person_key=PERSON)
    stop = replace(event_of("d"), kind=EventKind.COMMAND, command="stop", text="")
    for key in "de":
        run(inbound.accept_event, replace(stop, key=key), ordered=False, is_stop=True, **accept)
    run(inbound.accept_event, event_of("a"), ordered=True, **accept)
    run(inbound.is_queued, "telegram:1:a")
    run(inbound.seconds_until_accepted, PERSON, LIMITS, is_exempt=False)
    claim = partial(run, claims.claim_turns, "me", [ACCOUNT], lease_seconds=6, limit=10)
    for claim_filter in ClaimFilter:
        claim(claim_filter=claim_filter)
        claim(claim_filter=claim_filter, exclude=[1, 2], busy_chats=["x"], command_chats=["x"])
    run(lambda connection: connection.execute(schema.turns.update().values(not_before=0).where(schema.IS_OPEN)))
    turn: Turn = next(turn for turn in claim(exclude=[1, 2]) if turn.seq is not None)
    run(claims.has_open_turns, [ACCOUNT])
    run(claims.has_open_turns)
    run(claims.heartbeat, "me", [turn.id], lease_seconds=6)
    run(claims.check_leases, "me", [turn.id])
    run(inbound.accept_edit, replace(event_of("f"), kind=EventKind.EDIT, message_id="none"), **accept)
    run(edited_questions.find_edited_question, replace(turn, incoming=replace(turn.incoming, kind=EventKind.EDIT)))
    run(edited_questions.find_question, turn.incoming, schema.turns.c.conversation_id == turn.conversation_id)
    run(preferences.list_preferences, ["person:telegram:5", "chat:telegram:1:5"])
    run(history.load_history, turn.conversation_id, turn.seq, 2000)
    run(history.load_history, turn.conversation_id, None, 2000)
    run(history.load_messages_between, turn.conversation_id, 2, 10, 2000)
    run(history.count_answers_before, turn.conversation_id, 10)
    run(answers.last_question, turn.conversation_id)
    run(history.load_history, turn.conversation_id, None, 2000, parent_turn=7)
    run(answers.find_answer, turn.conversation_id, "m1")
    run(answers.find_parent, turn.conversation_id, "p", 7)
    run(answers.set_next_parent, turn.conversation_id, "p", 7)
    run(answers.find_parent, turn.conversation_id, "p", None)
    run(answers.has_answers, turn.conversation_id, except_turn=7)
    question = run(answers.get_question, 1)
    run(answers.list_variants, question.first_turn)
    run(answers.list_companions, turn)
    run(answers.show_variant, turn.conversation_id, question)
    run(answers.find_parent_again, turn.conversation_id, replace(question, parent_turn=7))
    run(history.save_summary, turn.conversation_id, history.ConversationSummary(2, "s"), "m", 0)
    run(history.delete_summary_of_other_branch, turn.conversation_id, 7)
    run(history.delete_summary_of, turn.conversation_id, 1)
    run(personal_keys.get_encrypted_key, PERSON)
    reservation = run(token_usage.reserve, MODEL, 10, 1000)
    run(token_usage.settle_reservation, reservation.id, 5)
    run(turns.fence, turn)
    run(turns.update_owned_turn, turn, note="")
    run(turns.replace_event_text, turn, "")
    run(answers.lock_conversation, turn)
    answer = {"prompt": "q", "answer": "a", "note": "", "model": "m", "usage": UsageReport(1, 1), "reasoning": "r"}
    run(answers.store_answer, turn, **answer, replaces_last=True)
    run(conversations.is_truncation_notified, turn.conversation_id)
    run(conversations.mark_truncation_notified, turn.conversation_id)
    run(preferences.mark_notified, "person:telegram:5", PreferenceName.ANSWER_LENGTH, "m")
    run(preferences.replace_value, "person:telegram:5", PreferenceName.MODEL, "m", "n")
    run(token_usage.add_daily_usage, ["person:telegram:5", "chat:telegram:1:5"], MODEL.day, 1, 1)
    run(answer_parts.save_part, turn, 0, SentPart(PartState.SENDING, None, ""))
    run(answer_parts.save_part, turn, 0, None)
    run(answer_parts.take_over_parts, turn, 7)
    run(answer_parts.hand_over_parts, turn, 8)
    run(answer_parts.list_sent_parts, turn.id)
    run(answers.get_answer, turn.id)
    run(answers.get_reasoning, turn.id)
    run(answer_parts.finish_delivery, turn, TurnState.DONE, {0: SentPart(PartState.SENT, "1", "d")})
    with pytest.raises(LostLeaseError):
        run(turns.finish_turn, turn, TurnState.DONE)  # which has just run
    return turn


def run_commands(run: Callable[..., Any], turn: Turn) -> None:
    run(turns.get_turn, turn.id)
    run(conversations.has_answered_since_default_replaced, turn.conversation_id, "m")
    for kind in (EventKind.EDIT, EventKind.FORWARD):
        event = replace(turn.incoming, kind=kind)
        run(inbound.may_change_question, event, conversation_key=KEY, person_key="p")
    run(conversations.mark_default_replaced, turn.conversation_id, turn.id)
    run(turns.is_stopped, turn.id)
    run(turns.find_turn_of_message, "telegram:1:5:", "m5")
    run(own_answers.find_own_answers, PERSON, "telegram:1:5", ["a"], 3)
    run(suggested_questions.save_suggested_question, "token", PERSON, "why?")
    run(suggested_questions.find_suggested_question, "token", PERSON)
    run(turns.find_shown_press, 5, text="think:1", before_turn=10**9)
    run(turns.restart_turn, turn.id, turn.incoming)
    run(claims.cancel_turns, 5, 10**9)
    imported = [transcripts.TranscriptMessage("user", "hello"), transcripts.TranscriptMessage("assistant", "hi")]
    run(transcripts.load_transcript, 5)
    run(transcripts.stage_import, 5, turn.id, imported)
    run(transcripts.apply_import, 5, turn.id, turn.id)
    run(claims.was_just_stopped, 5, 10**9)
    run(conversations.find_conversation, KEY)
    run(conversations.list_chats, "telegram:1")
    run(conversations.reset_history, 5, turn.id)
    run(history.save_summary, 5, ConversationSummary(3, "summary"), "m", 1)
    run(preferences.set_preference, "person:telegram:5", PreferenceName.MODEL, Preference("m", "Ann"))
    run(preferences.delete_preference, ["person:telegram:5"], PreferenceName.MODEL)
    run(token_usage.get_usage_by_model, MODEL.key_id, MODEL.day, ["m"])
    run(token_usage.get_usage_by_model, MODEL.key_id, MODEL.day, [])
    run(token_usage.get_daily_usage, ["person:telegram:5"], MODEL.day)
    run(token_usage.charge_daily_usage, {"person:telegram:5": 1000}, MODEL.day, 1)
    run(token_usage.adjust_daily_usage, ["person:telegram:5"], MODEL.day, 1)
    run(token_usage.tokens_on_other_keys, MODEL.key_id, MODEL.day)
    run(token_usage.usage_since, PERSON, 0.0)
    run(token_usage.mark_exhausted, MODEL)
    run(personal_keys.save_encrypted_key, PERSON, "x")
    run(personal_keys.replace_encrypted_key, PERSON, "x", "y")
    run(personal_keys.list_encrypted_keys)
    run(personal_keys.delete_key, PERSON)


def run_memory(run: Callable[..., Any]) -> None:
    run(memories.get_conversation_key, 5)
    run(memories.get_statistics, KEY)
    run(memories.has_room, KEY, 1)
    entry = run(
        memories.add_entry,
        KEY,
        kind="txt",
        name="file",
        digest="d",
        model="m",
        chunks=[NewChunk("", "words")],
        vectors=NO_VECTORS,
    )
    run(memories.list_entries, KEY)
    run(memories.find_by_digest, KEY, "d")
    run(memories.rename_entry, entry.id, "other")
    run(memories.set_recall_mode, KEY, RecallMode.WITH_MESSAGES)
    run(memories.get_searched, 5, 10)
    run(memories.list_unindexed_messages, KEY, 10)
    run(memories.index_messages, KEY, "m", [UnindexedMessage(9, "text")], NO_VECTORS)
    run(memories.index_chunks, "m", [UnindexedChunk(5, "a note")], NO_VECTORS)
    ids = run(memories.list_vector_ids, KEY, "m", vector_bytes=8)
    run(memories.list_vector_ids, KEY, "m", vector_bytes=8, entry_ids=[entry.id])
    run(memories.search_words, KEY, ["words"], limit=5)
    run(memories.search_words, KEY, ["words"], limit=5, entry_ids=[entry.id])
    run(memories.search_words, KEY, ["words"], limit=5, only_without_vector=True)
    run(memories.get_vectors, ids)
    run(memories.get_chunks, dict.fromkeys(ids, 1.0))
    run(memories.first_chunks, KEY, entry.id, 3)
    run(memories.set_recall_mode, KEY, RecallMode.OFF)
    run(memories.delete_entry, KEY, entry.number)
    run(memories.delete_all, KEY)


def run_operation(run: Callable[..., Any]) -> None:
    """What happens beside answers."""
    run(load.measure_load)
    run(claims.expire_leases, [ACCOUNT])
    run(claims.shorten_leases, lease_seconds=6.0)
    run(claims.release_turns, "me", [1, 2])
    run(token_usage.settle_abandoned, 60.0)
    run(rate_limits.save_platform_wait, ACCOUNT, "5", 10.0)
    run(rate_limits.load_platform_waits, [ACCOUNT])
    run(rate_limits.chat_activity, "me", ["telegram:1:5", "telegram:1:6"])
    run(recent_activity.find_recent_activity, ACCOUNT, max_places=5, within_seconds=3600.0)
    run(recent_activity.find_stored_keys, ACCOUNT, ["1", "none"])
    run(answers.is_any_event_answered, PERSON, "telegram:1:session")
    run(chat_migration.move_chat, ACCOUNT, "6", "7")
    run(leases.try_acquire, "lease", "me", 6.0)
    run(leases.release, "lease", "me")
    run(leases.count_holders, "process:")
    run(leases.delete_leases)
    run(key_values.set_value, "key", "value")
    run(turn_log.list_latest_turns, 60)
    run(key_values.get_value, "key")
    run(key_values.get_or_create_value, "key", "value")
    run(key_values.update_value, "key", str.upper)
    run(key_values.delete_value, "key", "value")
    run(grants.grant, "telegram:person:5", grants.Role.MEMBER, "Ann")
    run(grants.add_member, "telegram:person:5")
    run(grants.list_grants)
    run(grants.roles_by_subject)
    run(grants.is_operator, "telegram", "5")
    run(grants.revoke, "telegram:person:5")
    stranger = replace(event_of("s1"), sender=replace(ANN, user="77"))
    run(access_requests.request_access, stranger, "Eve", replace(stranger, kind=EventKind.COMMAND, command="denied"))
    run(access_requests.count_pending)
    run(access_requests.list_pending, 5)
    run(access_requests.seconds_until_announcement, 600.0)
    run(access_requests.accept_notice, replace(stranger, key="s2"))
    run(access_requests.announce_requests, [replace(stranger, key="s3")], 600.0)
    approve = access_requests.Decision.APPROVED
    run(access_requests.decide_request, "telegram:person:77", approve, replace(ANN, user="9"), "welcome", 1.0)
    run(grants.list_operators)
    run(grants.has_operator)
    run(grants.ban, PERSON_SUBJECT)
    run(grants.ban, "telegram:chat:6")
    run(grants.lift_ban, PERSON_SUBJECT)
    run(learned_facts.save_facts, "service", [Fact("m", FactKind.REJECTED_PART, "temperature")], 60.0)
    run(learned_facts.load_facts, "service")
    run(learned_facts.delete_facts, "service", ["m"])
    run(model_pauses.save_pause, "service", "key", "m", ModelError("down", ModelFailure.STALLED), 60.0)
    run(model_pauses.load_pauses, "service")
    run(model_pauses.delete_pauses, "service", ["m"])


def run_retention(run: Callable[..., Any]) -> None:
    for delete in (retention.delete_reasoning, retention.delete_turns, retention.delete_messages):
        run(delete, 5.0)
    run(retention.delete_summaries, 2.0)
    run(retention.delete_access_requests, 2.0, 2.0)
    run(retention.delete_suggested_questions, 2.0)
    run(retention.delete_memories, 2.0)
    run(retention.delete_usage, "2011-01-01")
    run(retention.delete_inactive_conversations, 2.0)
    run(overview.read_overview, 5.0)


def run_privacy(run: Callable[..., Any]) -> None:
    person = people.Person("telegram", "5")
    run(people.find_conversations, person)
    run(people.member_scopes, person)
    run(people.setting_scopes, person, {"telegram:1:5"})
    run(person_export.export_person, person, key_ids=["0123456789abcdef"])
    run(erasure.erase_person, person, key_ids=["0123456789abcdef"], except_turn=1)
    run(turns.erase_notes, schema.turns.c.conversation_id.in_([5]))
    run(erasure.finish_erasures)
    run(erasure.has_traces)


async def test_successor_is_looked_for_only_in_newer_messages(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    plans: list[str] = []

    def explain(connection: Connection, _cursor: object, sql: str, parameters: Any, _context: object, _: bool) -> None:
        if sql.startswith("SELECT messages.id"):
            plans.extend(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))

    def search(connection: Connection) -> None:
        many_rows.insert_rows(connection, 1000, 500)
        event.listen(connection, "before_cursor_execute", explain)
        conversations.has_answered_since_default_replaced(connection, 1, "m")

    await store.write(search)
    await store.close()
    assert plans[0] == "SEARCH messages USING INDEX ix_messages_conversation (conversation_id=? AND id>?)"


async def test_no_query_scans_a_table_that_grows(store: Store) -> None:
    plans = await store.write(run_everything)
    assert plans.statements > 150
    allowed = set(BOUNDED) | (SERVER_ONLY if store.is_embedded else set())
    scans = {function: tables for function, tables in plans.scans.items() if function not in allowed}
    assert scans == {}
    assert "last_question" not in plans.sorts, "it would sort the whole conversation for each question"

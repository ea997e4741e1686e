"""A database of the previous version (schema 0005) is migrated and loses nothing.

`data/previous_version.sql` was made by that version with the steps of `sample_database`.
"""

import importlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Connection, MetaData, func, insert, inspect, make_url, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from bots.sandbox.model.server import ModelStandIn
from core.api.catalogue import Model
from core.conversation.vault import open_vault
from core.memory.vector_search import VectorSearch
from core.port import AccountKey, Attachment, Batch, Button, Incoming
from core.store import (
    answer_parts,
    answers,
    claims,
    conversations,
    grants,
    history,
    key_values,
    leases,
    memories,
    migrate,
    personal_keys,
    preferences,
    rate_limits,
    schema,
    token_usage,
    turns,
)
from core.store.answer_parts import PartState, SentPart
from core.store.database import Store
from core.store.grants import Role
from core.store.memories import RecallMode, UnindexedMessage
from core.store.preferences import Preference
from core.store.token_usage import DailyUsage, ModelUsage, TokenUsage, UsageKind
from core.store.turns import Refusal, TurnState
from tests.core.store import sample_database
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.postgresql import empty_postgresql_url

pytestmark = pytest.mark.slow

DUMP = Path(__file__).parent / "data" / "previous_version.sql"
PREVIOUS_REVISION = "0005"
NEW_TABLES = ("access_requests", "learned_facts", "model_pauses", "suggested_questions")
FAKE, DISCORD = AccountKey("fake", "1"), AccountKey("discord", "2")
ANN, BOB = "fake:1:5::", "fake:1:-1007::6"
MODEL = "meta-llama/Llama-3.3-70B-Instruct"
DAY = "2026-01-31"


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database as the previous version left it."""
    path = tmp_path / "parley.sqlite3"
    with closing(sqlite3.connect(path)) as previous:
        previous.executescript(DUMP.read_text())
        if request.param == "sqlite":
            return f"sqlite:///{path}"
        url = empty_postgresql_url()
        engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
        async with engine.begin() as connection:
            await connection.run_sync(copy_rows, previous)
        await engine.dispose()
        return url


def copy_rows(connection: Connection, previous: sqlite3.Connection) -> None:
    migrate.upgrade(connection, PREVIOUS_REVISION)
    tables = MetaData()
    tables.reflect(connection)
    previous.row_factory = sqlite3.Row
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        booleans = {column.name for column in table.columns if isinstance(column.type, Boolean)}
        rows = [
            {name: bool(row[name]) if name in booleans else row[name] for name in row.keys()}  # noqa: SIM118
            for row in previous.execute(f"SELECT * FROM {table.name}")
        ]
        connection.execute(insert(table), rows)
        if "id" in table.columns:
            last = connection.scalar(select(func.max(table.c.id)))
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last})"))


@pytest.fixture
async def upgraded(url: str) -> AsyncIterator[Store]:
    store = Store(url)
    await store.open()
    yield store
    await store.close()


def count_rows(connection: Connection) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in schema.metadata.sorted_tables
    }


def schema_differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), schema.metadata))


def test_names_of_files_are_versions() -> None:
    scripts = ScriptDirectory(str(migrate.MIGRATIONS_DIRECTORY))
    assert migrate.known_revisions() == tuple(script.revision for script in scripts.walk_revisions())[::-1]
    assert migrate.newest_revision() == scripts.get_current_head()


def describe_database(connection: Connection) -> dict[str, object]:
    """All that other code can rely on, names of constraints included: a later migration may drop them by name."""
    inspector = inspect(connection)

    def describe_column(column: Mapping[str, Any]) -> object:
        default = {"false": "0"}.get(column["default"], column["default"])  # the same to SQLite
        if column["name"] == "id":
            default = None  # a sequence, whose name nothing uses
        return column["name"], str(column["type"]), column["nullable"], default

    def describe_index(index: Mapping[str, Any]) -> object:
        return (
            index["name"],
            index["column_names"],
            {key: str(value) for key, value in index["dialect_options"].items()},
        )

    return {
        table: (
            sorted(map(describe_column, inspector.get_columns(table)), key=str),
            sorted(map(describe_index, inspector.get_indexes(table)), key=str),
            inspector.get_pk_constraint(table),
            sorted(inspector.get_unique_constraints(table), key=str),
            sorted(inspector.get_foreign_keys(table), key=str),
        )
        for table in inspector.get_table_names()
    }


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
async def test_new_database_is_like_migrated_one(engine_name: str, tmp_path: Path) -> None:
    databases = []
    for number, create in enumerate((migrate.create_or_upgrade, migrate.upgrade)):
        url = f"sqlite:///{tmp_path / f'{number}.sqlite3'}" if engine_name == "sqlite" else empty_postgresql_url()
        store = Store(url)
        await store.write(create)
        databases.append(await store.read(describe_database))
        await store.close()
    created, migrated = databases
    assert created == migrated
    assert set(created) > set(schema.metadata.tables)


async def test_every_row_is_kept(upgraded: Store) -> None:
    renamed = importlib.import_module("core.store.migrations.versions.0006_names").TABLES
    with closing(sqlite3.connect(":memory:")) as previous:
        previous.executescript(DUMP.read_text())
        names = [name for (name,) in previous.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {
            renamed.get(name, name): previous.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names
        }
    counts["preferences"] -= 3  # recall settings belong to conversations now
    del counts["alembic_version"]
    assert await upgraded.read(count_rows) == counts | dict.fromkeys(NEW_TABLES, 0)
    assert min(counts.values()) > 0, "the dump fills every table"
    assert await upgraded.read(schema_differences) == []


async def test_sample_for_next_version_fills_every_table(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    await sample_database.fill(store)
    assert min((await store.read(count_rows)).values()) > 0
    await store.close()


async def test_answers_and_history_are_kept(upgraded: Store) -> None:
    ann = await upgraded.read(conversations.find_conversation, ANN)
    assert ann is not None
    stored = await upgraded.read(history.load_history, ann, None, 50)
    question = 'What is "ref": for?'
    assert [(message.role, message.text) for message in stored.messages] == [
        ("user", question),
        ("assistant", "The second answer."),
    ]
    assert (stored.summary.text, stored.summary.up_to_message) == ("They talked about JSON.", 6)
    assert await upgraded.read(conversations.is_truncation_notified, ann)
    assert await upgraded.read(answers.last_question, ann) == answers.Question(question, 4, person_key="fake:5")
    assert await upgraded.read(answers.get_answer, 3) == "The first answer."
    assert await upgraded.read(answers.get_reasoning, 3) == "They ask about JSON."
    assert await upgraded.read(token_usage.usage_since, "fake:5", 0) == [ModelUsage(MODEL, 74, 2)]
    assert await upgraded.read(partial(token_usage.usage_since, is_personal_key=True), "fake:5", 0) == [
        ModelUsage(MODEL, 37, 1)
    ]


def columns_of(connection: Connection, turn_id: int) -> dict[str, object]:
    return dict(connection.execute(select(schema.turns).where(schema.turns.c.id == turn_id)).mappings().one())


async def event_of(store: Store, turn_id: int) -> Incoming:
    stored = await store.read(turns.get_turn, turn_id)
    assert stored is not None
    return stored.incoming


async def test_finished_turns_are_kept(upgraded: Store) -> None:
    answered = await upgraded.read(columns_of, 3)
    assert (answered["state"], answered["note"], answered["refusal"]) == ("done", "full", None)
    assert msgspec.json.decode(str(answered["buttons_json"]), type=tuple[Button, ...]) == (
        Button("Retry", "retry:3"),
        Button("Reasoning", "think:3", is_destructive=True),
    )
    event = await event_of(upgraded, 3)
    assert (event.text, event.message_id) == ('What is "ref": for?', "2")
    assert event.place.is_private
    assert event.sender.is_manager
    assert event.sender.language == "en"

    batch = await event_of(upgraded, 5)
    assert batch.batch == Batch("album")
    assert [tuple(piece) for piece in batch.pieces] == [("10", 5), ("11", 6), ("12", 5)]  # type: ignore[attr-defined]
    assert batch.attachments == (
        Attachment("file", "a.txt", 12, "file-a", is_document=True),
        Attachment("photo", file_id="photo-b"),
    )
    assert not batch.place.is_private
    merged, refused = await upgraded.read(columns_of, 6), await upgraded.read(columns_of, 9)
    assert (merged["state"], merged["note"], merged["refusal"]) == (TurnState.MERGED, None, None)
    assert (refused["state"], refused["note"], refused["refusal"]) == ("done", None, Refusal.RATE_LIMITED)


async def test_open_turns_are_kept(upgraded: Store) -> None:
    assert await upgraded.write(claims.claim_turns, "heir", [DISCORD], lease_seconds=30, limit=9) == [], "leased"
    await upgraded.write(claims.expire_leases, [DISCORD])
    (command,) = await upgraded.write(claims.claim_turns, "heir", [DISCORD], lease_seconds=30, limit=9)
    assert command.incoming.interaction_token == "token-of-i1"
    assert (await upgraded.read(columns_of, command.id))["cancel_requested"]

    claimed = await upgraded.write(claims.claim_turns, "heir", [FAKE], lease_seconds=30, limit=9)
    assert {turn.incoming.key: turn.state for turn in claimed} == {
        "b5": TurnState.RUNNING,
        "c1": TurnState.DELIVERING,
        "u4": TurnState.RUNNING,
        "d1": TurnState.RUNNING,
    }
    by_key = {turn.incoming.key: turn for turn in claimed}
    assert by_key["b5"].refusal is Refusal.QUEUE_FULL
    assert by_key["c1"].note == "A note."
    assert by_key["d1"].incoming.batch == Batch()
    assert await upgraded.read(answer_parts.list_sent_parts, by_key["c1"].id) == {
        0: SentPart(PartState.UNREACHABLE, None, "a"),
        1: SentPart(PartState.SENDING, None, "b"),
        2: SentPart(PartState.UNCERTAIN, None, "c"),
        3: SentPart(PartState.REJECTED, None, "d"),
        4: SentPart(PartState.SENT, "35", "e"),
    }


def make_turns_recent(connection: Connection) -> None:
    connection.execute(update(schema.turns).values(created_at=schema.database_now()))


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    server = ModelStandIn()
    await server.start()
    yield server
    await server.close()


@pytest.mark.slow
async def test_open_turns_are_answered(upgraded: Store, url: str, tmp_path: Path, model: ModelStandIn) -> None:
    await upgraded.write(make_turns_recent)
    adapter = FakeAdapter()
    adapter.messages["35"] = "the rest of a longer answer"
    async with running_engine(tmp_path, model, adapter, database_url=url):
        await adapter.wait_until(lambda: len(adapter.messages) == 5 and "35" not in adapter.messages)
    shown = [message.strip() for message in adapter.messages.values()]
    assert {"begun before the update", "waiting since before", "the first half"} < set(shown)
    assert any(message.startswith("A long answer.") for message in shown)


async def test_memory_is_kept(upgraded: Store) -> None:
    note, file = await upgraded.read(memories.list_entries, ANN)
    assert (note.number, note.is_note, note.name, note.chunk_count) == (1, True, "The code is 1234", 1)
    assert (file.number, file.kind, file.name, file.chunk_count) == (2, "pdf", "report.pdf", 2)
    assert await upgraded.read(memories.find_by_digest, ANN, "pdf-digest") == file
    first = await upgraded.read(memories.first_chunks, ANN, file.id, 9)
    assert [(chunk.label, chunk.text) for chunk in first] == [
        ("page 1", "Text of page 1."),
        ("page 2", "Text of page 2."),
    ]
    statistics = await upgraded.read(memories.get_statistics, ANN)
    assert (statistics.recall_mode, statistics.message_count) == (RecallMode.WITH_MESSAGES, 1)
    assert await upgraded.read(memories.list_unindexed_messages, ANN, 9) == [UnindexedMessage(5, 'What is "ref": for?')]
    query = np.array([0, 0, 0, 1], dtype=np.float32)
    (nearest, *_) = await VectorSearch(upgraded).search(ANN, query, "some/embedder", limit_per_kind=1)
    assert (nearest.text, nearest.score) == ("before /new", 1.0)

    assert (await upgraded.read(memories.get_statistics, BOB)).recall_mode is RecallMode.OFF
    await upgraded.write(memories.set_recall_mode, BOB, RecallMode.WITH_MESSAGES)
    assert await upgraded.read(memories.list_unindexed_messages, BOB, 9) == [], "cleared with /memory clear"


async def test_preferences_grants_and_state_are_kept(upgraded: Store) -> None:
    scopes = ["person:fake:5", "chat:fake:1:-1007", "thread:discord:2:20:21", "server:discord:40"]
    assert await upgraded.read(preferences.list_preferences, [*scopes, f"memory:{ANN}"]) == {
        ("person:fake:5", "model"): Preference(MODEL, "Ann"),
        ("chat:fake:1:-1007", "share"): Preference("on", "Ann"),
        ("thread:discord:2:20:21", "system"): Preference("Be brief.", "Ann"),
        ("server:discord:40", "length"): Preference("500", "Ann"),
    }
    assert await upgraded.read(grants.roles_by_subject) == {
        "fake:person:5": Role.OPERATOR,
        "fake:chat:-1007": Role.MEMBER,
    }
    encrypted = await upgraded.read(personal_keys.get_encrypted_key, "fake:5")
    assert encrypted is not None
    vault = await open_vault(upgraded, "a passphrase")
    assert vault.decrypt(encrypted, "fake:5") == "a key of Ann's"
    catalogue = await upgraded.read(key_values.get_value, "catalogue")
    assert catalogue is not None
    assert msgspec.json.decode(catalogue, type=list[Model]) == [
        Model(MODEL, 64_000, has_reasoning=True, daily_quota=500_000),
        Model("some/embedder", 512, is_embedding_model=True),
    ]
    assert await upgraded.read(key_values.get_value, "discord.missed.2.1.0") == "3 session"
    assert await upgraded.read(key_values.get_value, "pairing")


async def test_usage_and_rate_limits_are_kept(upgraded: Store) -> None:
    usage = await upgraded.read(token_usage.get_usage_by_model, "bot-key", DAY, [])
    assert usage == {
        MODEL: TokenUsage(37, 900, 1),
        "other/model": TokenUsage(is_exhausted=True),
    }
    embeddings = await upgraded.read(token_usage.get_usage_by_model, "bot-key", DAY, [], UsageKind.EMBEDDINGS)
    assert embeddings == {MODEL: TokenUsage(4, 0, 1)}
    subjects = ["person:fake:5", "chat:fake:1:-1007"]
    assert await upgraded.read(token_usage.get_daily_usage, subjects, DAY) == dict.fromkeys(subjects, DailyUsage(37, 1))
    limits = await upgraded.read(rate_limits.load_platform_waits, [FAKE, DISCORD])
    assert {(limit.account, limit.chat) for limit in limits} == {(FAKE, "-8"), (DISCORD, "")}
    assert not await upgraded.write(leases.try_acquire, "telegram:polling", "another", 1.0)

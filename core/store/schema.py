"""The tables. Columns named `*_at`, `*_until` and `not_before` are seconds since 1970 by the database's clock.

`turns` is the central table: the transaction that stores an inbound event opens a turn, a process claims the
turn for the length of a lease, and `finished_at` is set when the outcome is known. `seq` orders the turns of a
conversation; commands and buttons overtake and have none.

Migrations define the tables (`migrations/`); a test compares them with this module. Constraints keep the name
they were created with, because SQLite cannot rename them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy import Text as LongText
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

__all__ = [
    "IS_OPEN",
    "answer_parts",
    "conversations",
    "daily_usage",
    "database_now",
    "grants",
    "key_values",
    "leases",
    "memory_chunks",
    "memory_entries",
    "messages",
    "metadata",
    "personal_keys",
    "preferences",
    "rate_limits",
    "reasoning",
    "reservations",
    "summaries",
    "token_usage",
    "turns",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")


class NulFreeText(TypeDecorator[str]):
    """Text without NUL characters, which PostgreSQL cannot store."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002
        return value.replace("\0", "") if value else value


class database_now(GenericFunction[float]):  # noqa: N801 (an SQL function's name)
    """The database's clock, so that processes whose clocks differ agree on leases."""

    type = Float()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _database_now_sqlite(_element: database_now, _compiler: SQLCompiler, **_: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _database_now_postgresql(_element: database_now, _compiler: SQLCompiler, **_: object) -> str:
    return "extract(epoch from clock_timestamp())::float8"


conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", String(400), nullable=False, unique=True),
    Column("last_seq", Integer, nullable=False, server_default="0"),
    Column("history_after", Id, nullable=False, server_default="0"),  # /new: the last message left out
    Column("truncation_notified", Boolean, nullable=False, server_default=text("false")),
    Column("recall_mode", String(16)),  # NULL: the default
    Column("recall_after", Id, nullable=False, server_default="0"),  # the last message never recalled
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", ForeignKey(conversations.c.id), nullable=False),
    Column("turn_id", Id, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", NulFreeText, nullable=False),
    Column("is_excluded", Boolean, nullable=False, server_default=text("false")),  # from the history
    Column("created_at", Float, nullable=False),
    Index("ix_messages_conversation", "conversation_id", "id"),
    Index("ix_messages_turn", "turn_id"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", ForeignKey(conversations.c.id), nullable=False),
    Column("seq", Integer),
    Column("event_key", String(200), nullable=False),  # platform:account:key
    Column("state", String(16), nullable=False),
    Column("incoming_json", NulFreeText, nullable=False),
    Column("owner", String(64)),
    Column("lease_expires_at", Float, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),  # until then, more of a batch may follow
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("person_key", String(200), nullable=False),
    Column("model", String(200)),
    Column("note", NulFreeText),  # the text under the answer
    Column("refusal", String(16)),
    Column("buttons_json", NulFreeText),  # the buttons under the answer
    Column("prompt_tokens", Integer, nullable=False, server_default="0"),
    Column("completion_tokens", Integer, nullable=False, server_default="0"),
    Column("used_personal_key", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    UniqueConstraint("event_key", name="uq_turns_key"),
    Index("ix_turns_conversation", "conversation_id", "id"),
    Index("ix_turns_person", "person_key", "created_at"),
)

IS_OPEN = turns.c.finished_at.is_(None)

Index("ix_turns_open", turns.c.id, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
Index("ix_turns_next", turns.c.conversation_id, turns.c.seq, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
Index("ix_turns_person_open", turns.c.person_key, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)

answer_parts = Table(
    "answer_parts",
    metadata,
    Column("turn_id", ForeignKey(turns.c.id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("message_id", String(200)),  # NULL while unknown
    Column("digest", String(64), nullable=False),
)

preferences = Table(
    "preferences",
    metadata,
    Column("scope", String(300), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", NulFreeText, nullable=False),
    Column("set_by", String(200), nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("subject", String(200), primary_key=True),  # telegram:person:1, discord:server:2
    Column("role", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
)

key_values = Table(
    "key_values",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("value", NulFreeText, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("account_key", String(200), primary_key=True),  # platform:account
    Column("chat", String(200), primary_key=True),  # "": every chat
    Column("blocked_until", Float, nullable=False),
)

token_usage = Table(
    "token_usage",
    metadata,
    Column("key_id", String(40), primary_key=True),  # an API key, by its digest
    Column("model", String(200), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("request_count", Integer, nullable=False),
    Column("is_exhausted", Boolean, nullable=False, server_default=text("false")),  # the service reported it
)

daily_usage = Table(
    "daily_usage",
    metadata,
    Column("subject", String(300), primary_key=True),  # person:telegram:1, chat:telegram:2:3
    Column("day", String(10), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("questions", Integer, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key_id", String(40), nullable=False),
    Column("model", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("day", String(10), nullable=False),
    Column("expected_tokens", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

summaries = Table(
    "summaries",
    metadata,
    Column("conversation_id", ForeignKey(conversations.c.id), primary_key=True),
    Column("up_to_message", Id, nullable=False),  # the last message it replaces
    Column("text", NulFreeText, nullable=False),
    Column("model", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
)

reasoning = Table(
    "reasoning",
    metadata,
    Column("turn_id", ForeignKey(turns.c.id), primary_key=True),
    Column("text", NulFreeText, nullable=False),
)

personal_keys = Table(
    "personal_keys",
    metadata,
    Column("person_key", String(200), primary_key=True),
    Column("encrypted_key", NulFreeText, nullable=False),
    Column("created_at", Float, nullable=False),
)

memory_entries = Table(
    "memory_entries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_key", String(400), nullable=False),
    Column("number", Integer, nullable=False),  # people refer to it by this number, within the conversation
    Column("kind", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("chunk_count", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("conversation_key", "number", name="uq_documents_scope_number"),
)

memory_chunks = Table(
    "memory_chunks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_key", String(400), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("entry_id", ForeignKey(memory_entries.c.id, ondelete="CASCADE")),  # of a note or file
    Column("position", Id, nullable=False),  # within the entry
    Column("message_id", Id),  # of a message
    Column("label", String(200), nullable=False),
    Column("text", NulFreeText, nullable=False),
    Column("model", String(200), nullable=False),  # whose vector it is
    Column("vector", LargeBinary, nullable=False),  # float32, length 1
    Column("created_at", Float, nullable=False),
    Index("ix_memory_chunks_conversation", "conversation_key", "kind", "message_id"),
    Index("ix_memory_chunks_entry", "entry_id"),
)

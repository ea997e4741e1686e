"""The tables. Columns named `*_at`, `*_until` and `not_before` are seconds since 1970 by the database's clock.

`turns` is the central table: the transaction that stores an inbound event opens a turn, a process claims the
turn for the length of a lease, and `finished_at` is set when the outcome is known. `seq` orders the turns of a
conversation; commands and buttons overtake and have none.

A new database gets these tables at once. Migrations (`migrations/`) make the same tables of an older one, which a test
checks. Constraints keep the name they were created with, because SQLite cannot rename them.
"""

from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Constraint,
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
    event,
    text,
)
from sqlalchemy import Text as LongText
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

FORMER_NAMES = {
    "answer_parts": "parts",
    "preferences": "choices",
    "key_values": "state",
    "rate_limits": "waits",
    "token_usage": "spending",
    "daily_usage": "allowances",
    "reservations": "requests",
    "reasoning": "thoughts",
    "personal_keys": "keys",
    "memory_entries": "documents",
    "memory_chunks": "memories",
}
"""The names under which tables were created that have been renamed. Their constraints contain them."""


def _first_name(_constraint: Constraint, table: Table) -> str:
    return FORMER_NAMES.get(table.name, table.name)


metadata = MetaData(
    naming_convention={
        "first_name": _first_name,
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(first_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
required = partial(Column, nullable=False)
primary_key = partial(Column, primary_key=True)


def table(name: str, *columns: SchemaItem) -> Table:
    return Table(name, metadata, *columns)


class NulFreeText(TypeDecorator[str]):
    """Text without NUL characters, which PostgreSQL cannot store."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002
        return value.replace("\0", "") if value else value


CLOCK_TOLERANCE_SECONDS = 1
"""A stored time that is later by more than this than it can be shows that the database's clock was set back."""


class database_now(GenericFunction[float]):  # noqa: N801 (an SQL function's name)
    """The database's clock, so that processes whose clocks differ agree on leases."""

    type = Float()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _database_now_sqlite(_element: database_now, _compiler: SQLCompiler, **_: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _database_now_postgresql(_element: database_now, _compiler: SQLCompiler, **_: object) -> str:
    # Unlike `clock_timestamp`, it does not change within a statement, so that conditions on times can use indexes.
    return "extract(epoch from statement_timestamp())::float8"


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """An index of the rows that match `where`.

    SQLAlchemy loads the whole dialect that an argument such as `postgresql_where` names, which takes 2 MB. Therefore
    `_apply_conditions` sets it for the dialect in use.
    """
    Index(name, *columns, info={"where": where})


@event.listens_for(metadata, "before_create")
def _apply_conditions(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options[connection.dialect.name]["where"] = index.info["where"]


conversations = table(
    "conversations",
    primary_key("id", Id),
    required("key", String(400), unique=True),
    required("last_seq", Integer, server_default="0"),
    required("history_after", Id, server_default="0"),  # /new: the last message left out
    required("reset_by_turn", Id, server_default="0"),  # the turn of the last /new
    required("truncation_notified", Boolean, server_default=text("false")),
    required("successor_named_by_turn", Id, server_default="0"),  # the last answer in place of a default model
    Column("recall_mode", String(16)),  # NULL: the default
    required("recall_after", Id, server_default="0"),  # the last message never recalled
    Column("next_parent", Id),  # as `messages.parent_turn`, for the next question; NULL: the newest exchange
    Column("next_parent_by", String(200)),  # the person whose question it is for; NULL: anybody, from before 0023
)

messages = table(
    "messages",
    primary_key("id", Id),
    required("conversation_id", ForeignKey(conversations.c.id, name="fk_messages_conversation")),
    required("turn_id", Id),
    Column("person_key", String(200)),  # who asked; NULL: unknown, from before 0022
    required("role", String(16)),
    required("text", NulFreeText),
    Column("images_json", NulFreeText),  # the pictures of a question, as references
    Column("model", NulFreeText),  # that wrote the answer; NULL: unknown
    required("is_excluded", Boolean, server_default=text("false")),  # from the history
    Column("variant_of", Id),  # the turn that first asked the question; NULL: this one
    Column("parent_turn", Id),  # the turn that first asked what this question continues from; NULL: the one before
    required("created_at", Float),
    Index("ix_messages_conversation", "conversation_id", "id"),
    Index("ix_messages_turn", "turn_id"),
)

IS_VARIANT = messages.c.variant_of.is_not(None)
partial_index("ix_messages_variant_of", messages.c.variant_of, where=IS_VARIANT)

turns = table(
    "turns",
    primary_key("id", Id),
    Column(
        "conversation_id", ForeignKey(conversations.c.id, name="fk_turns_conversation")
    ),  # NULL: the event was refused
    required("chat_key", String(300), server_default=""),  # platform:account:chat; empty: from before 0008
    Column("seq", Integer),
    required("event_key", String(200)),  # platform:account:key
    required("state", String(16)),
    required("incoming_json", NulFreeText),  # without content once the turn is finished
    Column("owner", String(64)),
    required("lease_expires_at", Float, server_default="0"),
    required("not_before", Float, server_default="0"),  # until then, more of a batch may follow
    required("attempt", Integer, server_default="0"),  # the number of claims; only grows, because it fences
    required("failed_attempts", Integer, server_default="0"),  # claims whose owner died
    required("cancel_requested", Boolean, server_default=text("false")),
    required("person_key", String(200)),
    required("is_exempt", Boolean, server_default=text("false")),  # from the person's messages per minute
    Column("model", String(200)),
    Column("note", NulFreeText),  # the text under the answer; without `failure`, as before 0029: why the turn failed
    Column("failure", NulFreeText),  # why the turn failed
    Column("refusal", String(16)),
    Column("final_state", String(16)),  # once the stored answer is delivered
    Column("buttons_json", NulFreeText),  # the buttons under the answer
    required("prompt_tokens", Integer, server_default="0"),
    required("completion_tokens", Integer, server_default="0"),
    required("used_personal_key", Boolean, server_default=text("false")),
    required("created_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("event_key", name="uq_turns_key"),
    Index("ix_turns_conversation", "conversation_id", "id"),
    Index("ix_turns_person", "person_key", "created_at"),
)

IS_OPEN = turns.c.finished_at.is_(None)

partial_index("ix_turns_open", turns.c.id, where=IS_OPEN)
partial_index("ix_turns_next", turns.c.conversation_id, turns.c.seq, where=IS_OPEN)
partial_index("ix_turns_person_open", turns.c.person_key, where=IS_OPEN)
partial_index("ix_turns_finished", turns.c.finished_at, where=~IS_OPEN)

answer_parts = table(
    "answer_parts",
    primary_key("turn_id", ForeignKey(turns.c.id, name="fk_parts_turn")),
    primary_key("position", Integer),
    required("state", String(16)),
    Column("message_id", String(200)),  # NULL while unknown
    required("digest", String(64)),
    Index("ix_answer_parts_message", "message_id"),
)

preferences = table(
    "preferences",
    primary_key("scope", String(300)),
    primary_key("name", String(40)),
    required("value", NulFreeText),
    required("set_by", String(200)),  # a name
    required("set_by_key", String(200), server_default=""),  # of the person; empty: unknown, as before 0025
    required("notified_model", String(200), server_default=""),  # that does not accept it
)

grants = table(
    "grants",
    primary_key("subject", String(200)),  # telegram:person:1, discord:server:2
    required("role", String(16)),
    required("name", String(200)),
    required("created_at", Float),
)

access_requests = table(
    "access_requests",
    primary_key("subject", String(200)),  # telegram:person:1
    required("name", String(200)),
    required("incoming_json", NulFreeText),  # the event by which they asked; of its content only a link's model
    required("created_at", Float),
    Column("announced_at", Float),  # when the operators were told
    Column("decision", String(16)),
    Column("decided_by", String(200)),  # an operator's name
    Column("decided_by_key", String(200)),  # of the operator; NULL: unknown, from before 0025
    Column("decided_at", Float),
)

suggested_questions = table(
    "suggested_questions",
    primary_key("token", String(40)),  # in the button that asks it
    required("person_key", String(200)),
    required("text", NulFreeText),
    required("created_at", Float),
    Index("ix_suggested_questions_person", "person_key", "created_at"),
    Index("ix_suggested_questions_created", "created_at"),
)

key_values = table("key_values", primary_key("key", String(200)), required("value", NulFreeText))

leases = table("leases", primary_key("name", String(200)), required("owner", String(64)), required("expires_at", Float))

rate_limits = table(
    "rate_limits",
    primary_key("account_key", String(200)),  # platform:account
    primary_key("chat", String(200)),  # "": every chat
    required("blocked_until", Float),
    Column("requested_seconds", Float),  # by the platform, from then on; NULL: unknown
)

learned_facts = table(
    "learned_facts",
    primary_key("service", String(200)),  # host and path
    primary_key("model", String(200)),
    primary_key("kind", String(16)),
    primary_key("detail", String(100)),
    required("expires_at", Float),
)

model_pauses = table(
    "model_pauses",
    primary_key("service", String(200)),  # host and path
    primary_key("key_id", String(40)),  # an API key, by its digest
    primary_key("model", String(200)),
    required("failure", String(16)),
    Column("status", Integer),  # of HTTP
    required("cause", String(200)),
    required("paused_until", Float),
)

token_usage = table(
    "token_usage",
    primary_key("key_id", String(40)),  # an API key, by its digest
    primary_key("model", String(200)),
    primary_key("kind", String(16)),
    primary_key("day", String(10)),
    required("tokens", BigInteger),
    required("request_count", Integer),  # only those that brought text for a person
    required("is_exhausted", Boolean, server_default=text("false")),  # the service reported it
    Index("ix_token_usage_day", "day"),
)

daily_usage = table(
    "daily_usage",
    primary_key("subject", String(300)),  # person:telegram:1, chat:telegram:2:3
    primary_key("day", String(10)),
    required("tokens", BigInteger),
    required("questions", Integer),
    Index("ix_daily_usage_day", "day"),
)

reservations = table(
    "reservations",
    primary_key("id", Id),
    required("key_id", String(40)),
    required("model", String(200)),
    required("kind", String(16)),
    required("day", String(10)),
    required("expected_tokens", BigInteger),
    Column("turn_id", Id),  # whose answer the request is for; NULL: another kind of request
    required("created_at", Float),
)

summaries = table(
    "summaries",
    primary_key("conversation_id", ForeignKey(conversations.c.id, name="fk_summaries_conversation")),
    required("up_to_message", Id),  # the last message it replaces
    required("text", NulFreeText),
    required("model", String(200)),
    required("created_at", Float),
    Index("ix_summaries_created", "created_at"),
)

reasoning = table(
    "reasoning", primary_key("turn_id", ForeignKey(turns.c.id, name="fk_thoughts_turn")), required("text", NulFreeText)
)

personal_keys = table(
    "personal_keys",
    primary_key("person_key", String(200)),
    required("encrypted_key", NulFreeText),
    required("created_at", Float),
)

memory_entries = table(
    "memory_entries",
    primary_key("id", Id),
    required("conversation_key", String(400)),
    required("number", Integer),  # people refer to it by this number, within the conversation
    required("kind", String(16)),
    required("name", String(200)),
    required("digest", String(64)),
    required("chunk_count", Integer),
    Column("person_key", String(200)),  # who stored it; NULL: unknown, from before 0022
    required("created_at", Float),
    UniqueConstraint("conversation_key", "number", name="uq_documents_scope_number"),
)

memory_chunks = table(
    "memory_chunks",
    primary_key("id", Id),
    required("conversation_key", String(400)),
    required("kind", String(16)),
    Column(
        "entry_id", ForeignKey(memory_entries.c.id, name="fk_memories_document", ondelete="CASCADE")
    ),  # of a note or file
    required("position", Id),  # within the entry
    Column("message_id", Id),  # of a message
    required("label", String(200)),
    required("text", NulFreeText),
    required("model", String(200)),  # whose vector it is
    required("vector", LargeBinary),  # float32, length 1
    required("created_at", Float),
    Index("ix_memory_chunks_conversation", "conversation_key", "kind", "message_id"),
    Index("ix_memory_chunks_entry", "entry_id"),
)

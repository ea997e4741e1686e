"""The tables. Times are seconds since 1970 by the database's own clock (`clock`).

`turns` is the heart: an inbound event opens a turn in the same transaction that keeps it, a
process claims it for the length of a lease, and `finished` is set when its outcome is known.
`seq` orders the turns of a conversation; what may overtake (commands, buttons) has none.
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
    "answer_parts",
    "conversations",
    "daily_usage",
    "database_now",
    "documents",
    "grants",
    "key_values",
    "leases",
    "memory_chunks",
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
    """Whatever people, models and files say. PostgreSQL keeps no NUL, and nobody misses it."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002
        return value.replace("\0", "") if value else value


class database_now(GenericFunction[float]):  # noqa: N801 (an SQL function's name)
    """The database's clock, so that replicas with different clocks agree on leases."""

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
    Column("seq", Integer, nullable=False, server_default="0"),
    Column("since", Id, nullable=False, server_default="0"),  # /new: the last message left out
    Column("told_cut", Boolean, nullable=False, server_default=text("false")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", ForeignKey(conversations.c.id), nullable=False),
    Column("turn", Id, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", NulFreeText, nullable=False),
    Column("replaced", Boolean, nullable=False, server_default=text("false")),  # by /retry
    Column("created", Float, nullable=False),
    Index("ix_messages_conversation", "conversation", "id"),
    Index("ix_messages_turn", "turn"),
)

IS_OPEN = text("finished IS NULL")

turns = Table(
    "turns",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", ForeignKey(conversations.c.id), nullable=False),
    Column("seq", Integer),
    Column("key", String(200), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("incoming", NulFreeText, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", Float, nullable=False, server_default="0"),  # nobody else before it
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("cancel", Boolean, nullable=False, server_default=text("false")),
    Column("person", String(200), nullable=False),
    Column("model", String(200)),
    Column("note", NulFreeText),
    Column("buttons", NulFreeText),  # under the answer, as JSON
    Column("prompt_tokens", Integer, nullable=False, server_default="0"),
    Column("completion_tokens", Integer, nullable=False, server_default="0"),
    Column("own_key", Boolean, nullable=False, server_default=text("false")),  # asked with theirs
    Column("created", Float, nullable=False),
    Column("finished", Float),
    Index("ix_turns_open", "id", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("ix_turns_next", "conversation", "seq", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("ix_turns_conversation", "conversation", "id"),
    Index("ix_turns_person", "person", "created"),
    Index("ix_turns_person_open", "person", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
)

answer_parts = Table(
    "parts",
    metadata,
    Column("turn", ForeignKey(turns.c.id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("state", String(16), nullable=False),  # see core.store.turns.Sent
    Column("message", String(200)),
    Column("digest", String(64), nullable=False),
)

preferences = Table(
    "choices",
    metadata,
    Column("scope", String(300), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", NulFreeText, nullable=False),
    Column("chosen_by", String(200), nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("subject", String(200), primary_key=True),  # telegram:person:1, discord:server:2
    Column("role", String(16), nullable=False),  # operator, member
    Column("name", String(200), nullable=False),
    Column("created", Float, nullable=False),
)

key_values = Table(
    "state",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("value", NulFreeText, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", Float, nullable=False),
)

rate_limits = Table(
    "waits",
    metadata,
    Column("account", String(200), primary_key=True),  # platform:account
    Column("chat", String(200), primary_key=True),
    Column("until", Float, nullable=False),
)

token_usage = Table(
    "spending",
    metadata,
    Column("account", String(40), primary_key=True),  # an API key, by its digest
    Column("model", String(200), primary_key=True),
    Column("kind", String(16), primary_key=True),  # chat, embeddings
    Column("day", String(10), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("requests", Integer, nullable=False),
    # The service said so, whatever the tokens say.
    Column("exhausted", Boolean, nullable=False, server_default=text("false")),
)

daily_usage = Table(
    "allowances",
    metadata,
    Column("subject", String(300), primary_key=True),  # person:telegram:1, chat:telegram:2:3
    Column("day", String(10), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("messages", Integer, nullable=False),
)

reservations = Table(
    "requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(40), nullable=False),
    Column("model", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("day", String(10), nullable=False),
    Column("tokens", BigInteger, nullable=False),  # what it is expected to cost
    Column("created", Float, nullable=False),
)

summaries = Table(
    "summaries",
    metadata,
    Column("conversation", ForeignKey(conversations.c.id), primary_key=True),
    Column("upto", Id, nullable=False),  # the last message it stands for
    Column("text", NulFreeText, nullable=False),
    Column("model", String(200), nullable=False),
    Column("created", Float, nullable=False),
)

reasoning = Table(
    "thoughts",
    metadata,
    Column("turn", ForeignKey(turns.c.id), primary_key=True),
    Column("text", NulFreeText, nullable=False),
)

personal_keys = Table(
    "keys",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("secret", NulFreeText, nullable=False),  # encrypted
    Column("created", Float, nullable=False),
)

# Scopes are conversations, by their keys: what a person gave in one is not known in another.
documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scope", String(400), nullable=False),
    Column("number", Integer, nullable=False),  # what people call it by, within the scope
    Column("kind", String(16), nullable=False),  # note, or a file's: pdf, text, ...
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("scope", "number"),
)

memory_chunks = Table(
    "memories",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scope", String(400), nullable=False),
    Column("kind", String(16), nullable=False),  # note, message, piece
    Column("document", ForeignKey(documents.c.id, ondelete="CASCADE")),
    Column("position", Id, nullable=False),  # in the document; of a message its id
    Column("label", String(200), nullable=False),
    Column("text", NulFreeText, nullable=False),
    Column("model", String(200), nullable=False),  # whose vector it is
    Column("vector", LargeBinary, nullable=False),  # float32, length 1
    Column("created", Float, nullable=False),
    Index("ix_memories_scope", "scope", "kind", "position"),
    Index("ix_memories_document", "document"),
)

"""What stands for the older part of a conversation; the messages themselves stay."""

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import conversations, database_now, messages, summaries, turns

__all__ = ["ConversationHistory", "ConversationSummary", "load_history", "save_summary"]


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    up_to_message: int
    """The last message it stands for."""
    text: str


@dataclass(frozen=True, slots=True)
class ConversationHistory:
    """What may be shown of a conversation: (id, role, text), oldest first."""

    messages: tuple[tuple[int, str, str], ...]
    summary: ConversationSummary | None


def load_history(connection: Connection, conversation: int, before_seq: int | None, limit: int) -> ConversationHistory:
    """At most the last `most` messages since /new, of turns before the turn numbered `before`,
    and the summary that stands for the older ones.
    """
    query = (
        select(messages.c.id, messages.c.role, messages.c.text)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            messages.c.conversation == conversation,
            messages.c.id > conversations.c.since,
            messages.c.replaced.is_(False),
        )
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    if before_seq is not None:
        query = query.join(turns, turns.c.id == messages.c.turn).where(turns.c.seq < before_seq)
    rows = connection.execute(query).all()
    summary = connection.execute(
        select(summaries.c.upto, summaries.c.text)
        .join(conversations, conversations.c.id == summaries.c.conversation)
        .where(summaries.c.conversation == conversation, summaries.c.upto > conversations.c.since)
    ).first()
    return ConversationHistory(
        tuple((row.id, row.role, row.text) for row in reversed(rows)),
        ConversationSummary(summary.upto, summary.text) if summary else None,
    )


def save_summary(
    connection: Connection,
    conversation: int,
    summary: ConversationSummary,
    model: str,
    replaces_up_to: int,
) -> bool:
    """Keep `summary` unless another than the one up to `over` (0: none) was kept meanwhile."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {
        "upto": summary.up_to_message,
        "text": summary.text,
        "model": model,
        "created": database_now(),
    }
    saved = connection.execute(
        upsert(summaries)
        .values(conversation=conversation, **values)
        .on_conflict_do_update(
            index_elements=["conversation"],
            set_=values,
            where=(summaries.c.upto == replaces_up_to) | (summaries.c.upto < summary.up_to_message),
        )
        .returning(summaries.c.conversation)
    ).first()
    return saved is not None

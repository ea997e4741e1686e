"""What stands for the older part of a conversation; the messages themselves stay."""

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import clock, conversations, messages, summaries, turns

__all__ = ["Past", "Summary", "past", "put_summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    upto: int
    """The last message it stands for."""
    text: str


@dataclass(frozen=True, slots=True)
class Past:
    """What may be shown of a conversation: (id, role, text), oldest first."""

    messages: tuple[tuple[int, str, str], ...]
    summary: Summary | None


def past(connection: Connection, conversation: int, before: int | None, most: int) -> Past:
    """At most the last `most` messages since /new, of turns before the turn numbered `before`,
    and the summary that stands for the older ones.
    """
    wanted = (
        select(messages.c.id, messages.c.role, messages.c.text)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            messages.c.conversation == conversation,
            messages.c.id > conversations.c.since,
            messages.c.replaced.is_(False),
        )
        .order_by(messages.c.id.desc())
        .limit(most)
    )
    if before is not None:
        wanted = wanted.join(turns, turns.c.id == messages.c.turn).where(turns.c.seq < before)
    rows = connection.execute(wanted).all()
    summary = connection.execute(
        select(summaries.c.upto, summaries.c.text)
        .join(conversations, conversations.c.id == summaries.c.conversation)
        .where(summaries.c.conversation == conversation, summaries.c.upto > conversations.c.since)
    ).first()
    return Past(
        tuple((row.id, row.role, row.text) for row in reversed(rows)),
        Summary(summary.upto, summary.text) if summary else None,
    )


def put_summary(
    connection: Connection, conversation: int, summary: Summary, model: str, over: int
) -> bool:
    """Keep `summary` unless another than the one up to `over` (0: none) was kept meanwhile."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {
        "upto": summary.upto,
        "text": summary.text,
        "model": model,
        "created": clock(),
    }
    kept = connection.execute(
        upsert(summaries)
        .values(conversation=conversation, **values)
        .on_conflict_do_update(
            index_elements=["conversation"],
            set_=values,
            where=(summaries.c.upto == over) | (summaries.c.upto < summary.upto),
        )
        .returning(summaries.c.conversation)
    ).first()
    return kept is not None

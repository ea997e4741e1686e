"""Questions that were suggested to people who typed them in another chat, for the button that asks them.

They are personal, although most are never asked: each person has few, and they expire soon.
"""

from sqlalchemy import Connection, delete, insert, select

from core.store.schema import database_now, suggested_questions

LIFETIME_SECONDS = 3600.0
MAX_PER_PERSON = 100


def save_suggested_question(connection: Connection, token: str, person_key: str, text: str) -> None:
    """Replaces the person's oldest if they have many."""
    is_theirs = suggested_questions.c.person_key == person_key
    newest_to_drop = (
        select(suggested_questions.c.created_at)
        .where(is_theirs)
        .order_by(suggested_questions.c.created_at.desc())
        .offset(MAX_PER_PERSON - 1)
        .limit(1)
    )
    is_dropped = suggested_questions.c.created_at <= newest_to_drop.scalar_subquery()
    connection.execute(delete(suggested_questions).where(is_theirs, is_dropped))
    row = {"token": token, "person_key": person_key, "text": text}
    connection.execute(insert(suggested_questions).values(**row, created_at=database_now()))


def find_suggested_question(connection: Connection, token: str, person_key: str) -> str | None:
    """The text; None if it is unknown, expired or somebody else's."""
    return connection.scalar(
        select(suggested_questions.c.text).where(
            suggested_questions.c.token == token,
            suggested_questions.c.person_key == person_key,
            suggested_questions.c.created_at > database_now() - LIFETIME_SECONDS,
        )
    )

"""Pauses of the models of a service, until they end."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from core.errors import ModelError, ModelFailure
from core.store.dialect import upsert
from core.store.schema import database_now, model_pauses

MAX_PAUSES = 1000
MAX_CAUSE_CHARS = 200


@dataclass(frozen=True, slots=True)
class StoredPause:
    key_id: str
    model: str
    error: ModelError
    """The failure that caused it."""
    remaining_seconds: float


def load_pauses(connection: Connection, service: str) -> list[StoredPause]:
    """Ordered by model."""
    remaining = (model_pauses.c.paused_until - database_now()).label("remaining_seconds")
    rows = connection.execute(
        select(model_pauses, remaining)
        .where(model_pauses.c.service == service, model_pauses.c.paused_until > database_now())
        .order_by(model_pauses.c.model, model_pauses.c.key_id)
        .limit(MAX_PAUSES)
    )
    return [
        StoredPause(
            row.key_id,
            row.model,
            ModelError(row.cause, ModelFailure(row.failure), status=row.status),
            row.remaining_seconds,
        )
        for row in rows
    ]


def save_pause(
    connection: Connection, service: str, key_id: str, model: str, error: ModelError, seconds: float
) -> None:
    """Store a pause from now on, in place of an earlier one."""
    connection.execute(delete(model_pauses).where(model_pauses.c.paused_until < database_now()))
    key = {"service": service, "key_id": key_id, "model": model}
    values = {
        "failure": error.failure,
        "status": error.status,
        "cause": str(error)[:MAX_CAUSE_CHARS],
        "paused_until": database_now() + seconds,
    }
    upsert(connection, model_pauses, key, values)


def delete_pauses(connection: Connection, service: str, models: Sequence[str], key_id: str | None = None) -> int:
    """Delete the pauses of these models, for one API key or for all. Returns how many there were."""
    is_selected = (model_pauses.c.service == service, model_pauses.c.model.in_(models))
    statement = delete(model_pauses).where(*is_selected)
    if key_id is not None:
        statement = statement.where(model_pauses.c.key_id == key_id)
    return connection.execute(statement).rowcount

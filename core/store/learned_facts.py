"""Facts about the models of a service, until they expire."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from core.api.service_facts import Fact, FactKind
from core.store.dialect import upsert
from core.store.schema import database_now, learned_facts

MAX_FACTS = 1000


@dataclass(frozen=True, slots=True)
class StoredFact:
    fact: Fact
    remaining_seconds: float


def load_facts(connection: Connection, service: str) -> list[StoredFact]:
    """Ordered by model."""
    remaining = (learned_facts.c.expires_at - database_now()).label("remaining_seconds")
    rows = connection.execute(
        select(learned_facts, remaining)
        .where(learned_facts.c.service == service, learned_facts.c.expires_at > database_now())
        .order_by(learned_facts.c.model, learned_facts.c.kind, learned_facts.c.detail)
        .limit(MAX_FACTS)
    )
    return [StoredFact(Fact(row.model, FactKind(row.kind), row.detail), row.remaining_seconds) for row in rows]


def save_facts(connection: Connection, service: str, facts: list[Fact], seconds: float) -> None:
    """Store facts for `seconds` from now."""
    connection.execute(delete(learned_facts).where(learned_facts.c.expires_at < database_now()))
    for fact in facts:
        key = {"service": service, "model": fact.model, "kind": fact.kind, "detail": fact.detail}
        upsert(connection, learned_facts, key, {"expires_at": database_now() + seconds})


def delete_facts(connection: Connection, service: str, models: Sequence[str]) -> int:
    """Delete the facts about these models. Returns how many there were."""
    is_selected = (learned_facts.c.service == service, learned_facts.c.model.in_(models))
    return connection.execute(delete(learned_facts).where(*is_selected)).rowcount

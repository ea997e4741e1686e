"""Facts learned about models, shared by all processes through the database.

Every fact expires, because services change. An expired fact costs one rejected request, which is then learned again.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import structlog

from core.api.service_facts import Fact, ServiceFacts
from core.errors import StoreError
from core.store.database import Store
from core.store.learned_facts import StoredFact, delete_facts, load_facts, save_facts
from core.timings import Timings

log = structlog.get_logger(__name__)

MAX_SERVICE_CHARS = 200


class LearnedFacts(ServiceFacts):
    def __init__(self, store: Store, base_url: str, *, timings: Timings = Timings()) -> None:
        super().__init__()
        self._store = store
        self._service = service_name(base_url)
        self._timings = timings
        self._next_refresh = 0.0

    async def refresh(self) -> None:
        """Take over what other processes have learned, and forget what has expired or was reset.

        Reads the database once in `service_refresh_interval`. Raises `StoreError`.
        """
        if self._timings.clock.monotonic() >= self._next_refresh:
            await self.list_facts()

    async def list_facts(self) -> list[StoredFact]:
        """All facts, ordered by model. Raises `StoreError`."""
        stored = await self._store.read(load_facts, self._service)
        self._facts = frozenset(item.fact for item in stored)
        self._next_refresh = self._timings.clock.monotonic() + self._timings.service_refresh_interval
        return stored

    async def reset(self, models: Sequence[str]) -> int:
        """Forget the facts about these models. Returns how many there were. Raises `StoreError`."""
        count = await self._store.write(delete_facts, self._service, models)
        await self.list_facts()
        return count

    async def _learn(self, facts: Iterable[Fact]) -> None:
        new_facts = [fact for fact in facts if fact not in self._facts]
        if not new_facts:
            return
        await super()._learn(new_facts)
        for fact in new_facts:
            log.info("model.fact_learned", model=fact.model, kind=fact.kind, detail=fact.detail)
        try:
            await self._store.write(save_facts, self._service, new_facts, self._timings.learned_fact_lifetime)
        except StoreError as error:
            log.warning("model.facts_not_stored", error=str(error))


def service_name(base_url: str) -> str:
    """Without a password, which the address may contain."""
    url = urlsplit(base_url)
    port = f":{url.port}" if url.port else ""
    return f"{url.hostname}{port}{url.path.rstrip('/')}"[:MAX_SERVICE_CHARS]

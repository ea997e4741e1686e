"""`parley top`: a live view of turns, streams, waits, quotas and errors. Reads the database and changes nothing."""

from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from core.api.advice import ADVICE
from core.api.catalogue import Model
from core.api.client import ModelApi
from core.clock import Clock
from core.conversation.ledger import Ledger, QuotaStatus, key_id_of
from core.conversation.model_pauses import ModelPauses
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.settings import Settings
from core.store.database import Store
from core.store.model_pauses import StoredPause
from core.store.overview import OpenTurn, Overview, read_overview
from core.texts.formatting import format_duration, quota_bar
from core.timings import Timings

BAR_CHARS = 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    overview: Overview
    quotas: list[tuple[Model, QuotaStatus]]
    """Quotas of the models used today."""
    pauses: list[StoredPause]


class Monitor:
    def __init__(self, store: Store, settings: Settings, *, timings: Timings = Timings()) -> None:
        self._store = store
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._key_id = key_id_of(key)
        self._registry = ModelRegistry(ModelApi(settings.base_url, key), store, settings, timings=timings)
        self._ledger = Ledger(store, self._registry, settings, self._key_id, timings=timings)
        self._pauses = ModelPauses(store, settings.base_url, timings=timings)

    async def read(self) -> Snapshot:
        """Raises `StoreError`."""
        await self._registry.load()
        models = self._registry.chat_models() + self._registry.embedding_models()
        quotas = await quotas_by_model(self._ledger, self._key_id, models)
        used = [(model, quotas[model.id]) for model in models if quotas[model.id].usage.tokens]
        return Snapshot(await self._store.read(read_overview), used, await self._pauses.list_pauses())


async def show_top(
    store: Store, settings: Settings, console: Console, *, interval: float, once: bool, clock: Clock
) -> None:
    """Redraw every `interval` seconds until cancelled, or print one view. Raises `ConfigurationError`, `StoreError`."""
    store.check_exists()
    await store.open(migrates=False)
    monitor = Monitor(store, settings)
    if once:
        console.print(render(await monitor.read()))
        return
    with Live(render(await monitor.read()), console=console, screen=True, auto_refresh=False) as live:
        while True:
            await clock.sleep(interval)
            live.update(render(await monitor.read()), refresh=True)


def render(snapshot: Snapshot) -> RenderableType:
    overview = snapshot.overview
    parts: list[RenderableType] = [_summary(overview)]
    if overview.oldest:
        parts.append(_turns_table("open turns, oldest first", overview.oldest))
    if overview.waits:
        parts.append(_waits_table(overview))
    if snapshot.quotas:
        parts.append(_quotas_table(snapshot.quotas))
    if snapshot.pauses:
        parts.append(_pauses_table(snapshot.pauses))
    if overview.failed:
        parts.append(_turns_table("failed in the last hour; `grep` the log for the turn", overview.failed))
    return Group(*parts)


def _summary(overview: Overview) -> Table:
    table = Table(title="parley top", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("now", _counts(overview.open_by_state) or "idle")
    finished = _counts(overview.finished_by_state) or "nothing"
    average = f"; an answer took {overview.answer_seconds:.1f} s" if overview.answer_seconds else ""
    table.add_row("last hour", f"{finished}{average}")
    table.add_row("leases", f"{overview.lease_count} (bots, shards and processes)")
    return table


def _counts(by_state: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(by_state.items()))


def _turns_table(title: str, turns: tuple[OpenTurn, ...]) -> Table:
    table = Table("turn", "platform", "state", "model", "since", title=title)
    for turn in turns:
        table.add_row(f"{turn.id}", turn.platform, turn.state, escape(turn.model), format_duration(turn.age_seconds))
    return table


def _waits_table(overview: Overview) -> Table:
    table = Table("account", "what", "for", title="platforms that make the bot wait")
    for wait in overview.waits:
        what = "all chats" if wait.is_account_wide else "one chat"
        table.add_row(wait.account, what, format_duration(wait.remaining_seconds))
    return table


def _quotas_table(quotas: list[tuple[Model, QuotaStatus]]) -> Table:
    table = Table("model", "tokens today", "left", "", title="quotas")
    for model, quota in quotas:
        left = "" if quota.remaining is None else f"{quota.remaining:,}"
        table.add_row(escape(model.id), f"{quota.usage.tokens:,}", left, quota_bar(quota.remaining_fraction, BAR_CHARS))
    return table


def _pauses_table(pauses: list[StoredPause]) -> Table:
    table = Table("model", "for", "because", title="paused models")
    for pause in pauses:
        because = f"{pause.error}. {ADVICE[pause.error.failure]}"
        table.add_row(escape(pause.model), format_duration(pause.remaining_seconds), escape(because))
    return table

"""`parley top`: a live view of turns, streams, waits, quotas and errors. Reads the database and changes nothing.

The live view fits the screen, and stays while the database does not answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from core.api.advice import ADVICE
from core.api.catalogue import Model
from core.api.client import ModelApi
from core.clock import Clock
from core.conversation.ledger import Ledger, QuotaStatus, key_id_of
from core.conversation.model_pauses import ModelPauses
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.errors import StoreError
from core.settings import Settings
from core.store.database import Store
from core.store.model_pauses import StoredPause
from core.store.overview import Overview, read_overview
from core.store.turns import TurnState
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
    """Redraw every `interval` seconds until cancelled, or print one view.

    Raises `ConfigurationError`, and `StoreError` if the first view cannot be read.
    """
    store.check_exists()
    await store.open(migrates=False)
    monitor = Monitor(store, settings)
    snapshot = await monitor.read()
    if once:
        console.print(render(snapshot))
        return
    read_at, problem = clock.monotonic(), ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            view = render(snapshot, console.height - bool(problem))
            live.update(Group(Text(problem, style="bold red"), view) if problem else view, refresh=True)
            await clock.sleep(interval)
            try:
                snapshot = await monitor.read()
                read_at, problem = clock.monotonic(), ""
            except StoreError:
                age = format_duration(clock.monotonic() - read_at)
                problem = f"The database does not answer. This view is {age} old."


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    count: int
    """Of all rows, some of which may not be in `rows`."""

    @property
    def line_count(self) -> int:
        return len(self.rows) + (self.count > len(self.rows))


SECTION_HEADER_LINES = 2
SUMMARY_LINES = 4


def render(snapshot: Snapshot, height: int | None = None) -> RenderableType:
    """`height`: the lines of the screen, which decide how many rows are shown; None: all."""
    overview = snapshot.overview
    # On a small screen, what needs attention must be visible.
    sections = [
        _failures(overview),
        _waits(overview),
        _pauses(snapshot.pauses),
        _quotas(snapshot.quotas),
        _requests(overview),
        _open_turns(overview),
    ]
    sections = [section for section in sections if section.count]
    sizes = [section.line_count for section in sections]
    if height is not None:
        sizes = share_lines(sizes, height - SUMMARY_LINES - SECTION_HEADER_LINES * len(sections))
    tables = (_table(section, size, wraps=height is None) for section, size in zip(sections, sizes, strict=True))
    return Group(_summary(overview), *tables)


def share_lines(sizes: Sequence[int], lines: int) -> list[int]:
    """Each size, or less if the lines are too few: all get the same share, of which small ones leave the rest to the
    others. At least one line each.
    """
    shares = [1 for _ in sizes]
    lines -= len(sizes)
    while growing := [index for index, size in enumerate(sizes) if shares[index] < size]:
        for index in growing:
            if lines <= 0:
                return shares
            shares[index] += 1
            lines -= 1
    return shares


def _table(section: Section, lines: int, *, wraps: bool) -> Table:
    table = Table(title=section.title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in section.columns:
        table.add_column(column, no_wrap=not wraps, overflow="ellipsis" if not wraps else "fold")
    is_cut = section.line_count > lines or section.count > len(section.rows)
    rows = section.rows[: lines - is_cut]
    for row in rows:
        table.add_row(*map(escape, row))
    if is_cut:
        table.add_row(f"… {section.count - len(rows):,} more")
    return table


def _summary(overview: Overview) -> Table:
    table = Table(title="parley top", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("now", _counts(overview.open_by_state) or "idle")
    finished = _counts(overview.finished_by_state) or "nothing"
    average = f"; an answer took {overview.answer_seconds:.1f} s" if overview.answer_seconds else ""
    table.add_row("last hour", f"{finished}{average}")
    table.add_row("leases", f"{overview.lease_count} (bots, shards and processes)")
    return table


def _counts(by_state: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(by_state.items()))


def _failures(overview: Overview) -> Section:
    rows = [
        (str(turn.id), turn.platform, format_duration(turn.age_seconds), turn.model, turn.reason or "see the log")
        for turn in overview.failed
    ]
    count = max(len(rows), overview.finished_by_state.get(TurnState.FAILED, 0))
    title = "failed in the last hour; `grep` the log for the turn"
    return Section(title, ("turn", "platform", "ago", "model", "because"), rows, count)


def _open_turns(overview: Overview) -> Section:
    rows = [
        (str(turn.id), turn.platform, turn.state, turn.model, format_duration(turn.age_seconds))
        for turn in overview.oldest
    ]
    count = max(len(rows), sum(overview.open_by_state.values()))
    return Section("open turns, oldest first", ("turn", "platform", "state", "model", "since"), rows, count)


def _requests(overview: Overview) -> Section:
    rows = [
        (requests.model, requests.kind, f"{requests.count:,}", format_duration(requests.oldest_seconds))
        for requests in overview.requests
    ]
    return Section("requests that models answer now", ("model", "kind", "number", "oldest since"), rows, len(rows))


def _waits(overview: Overview) -> Section:
    rows = [
        (
            wait.account,
            "all chats" if wait.is_account_wide else "one chat",
            format_duration(wait.remaining_seconds),
        )
        for wait in overview.waits
    ]
    title = "platforms that make the bot wait"
    return Section(title, ("account", "what", "for"), rows, max(len(rows), overview.wait_count))


def _quotas(quotas: list[tuple[Model, QuotaStatus]]) -> Section:
    rows = [
        (
            model.id,
            f"{quota.usage.tokens:,}",
            "" if quota.remaining is None else f"{quota.remaining:,}",
            quota_bar(quota.remaining_fraction, BAR_CHARS),
        )
        for model, quota in quotas
    ]
    return Section("quotas", ("model", "tokens today", "left", ""), rows, len(rows))


def _pauses(pauses: list[StoredPause]) -> Section:
    rows = [
        (pause.model, format_duration(pause.remaining_seconds), f"{pause.error}. {ADVICE[pause.error.failure]}")
        for pause in pauses
    ]
    return Section("paused models", ("model", "for", "because"), rows, len(rows))

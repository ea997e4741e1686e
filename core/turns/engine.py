"""From an event to its outcome: the inbox, the claims, the heartbeat, the end.

An event is kept before the platform is told that it arrived. Any process on the database may then
claim its turn; the first of each conversation runs, so answers come in the order of the
questions. Commands and buttons overtake.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from core.api.client import ModelApi
from core.commands.handlers import CommandHandlers
from core.conversation.model_registry import ModelRegistry
from core.conversation.turn_services import build_turn_services
from core.delivery.rate_limiter import RateLimiter
from core.errors import AccessDeniedError, StoreError
from core.memory.service import MemoryService
from core.port import AccountKey, Adapter, EventKind, Incoming
from core.scopes import grant_subjects
from core.settings import Settings
from core.store import leases
from core.store.chat_migration import move_chat
from core.store.claims import SUSPECT_ATTEMPTS, ClaimFilter, claim_turns, expire_leases, heartbeat, release_turns
from core.store.database import Store
from core.store.inbound import AcceptResult
from core.store.rate_limits import ActiveRateLimit, active_rate_limits, save_rate_limit
from core.store.turns import LostLeaseError, Turn
from core.turns import texts
from core.turns.access_control import AccessControl
from core.turns.button_actions import target_turn
from core.turns.claimed_turn import ClaimedTurn
from core.turns.dispatch import Dispatcher
from core.turns.inbox import encrypt_api_key, is_question, is_stop_request, sanitise, store_event

__all__ = ["Engine"]

log = structlog.get_logger(__name__)

LEASE_SECONDS = 6.0  # seconds
HEARTBEAT_INTERVAL = 0.5  # seconds between heartbeats: how soon another process's /stop is heard
LEASE_TRUST_RATIO = 0.8  # of a lease, by our own clock
CLAIM_INTERVAL = 1.0  # seconds between looks for turns that others let go
MAX_ATTEMPTS = 12
MAX_CLAIM_BATCH = 50  # at once
MAX_EXTRA_COMMAND_TURNS = 20  # turns begun for commands though all are busy
WAITING_TURNS_FACTOR = 10  # times as many turns as may be written at once may wait for their platforms
MIN_STORED_WAIT_SECONDS = 1.0  # seconds
LEDGER_SETTLE_INTERVAL = 900.0  # seconds between looks for requests of processes that died
PROCESS_COUNT_INTERVAL = 3.0  # seconds between counts of the processes on this database


class Engine:
    """`chats` are the adapters by (platform, account)."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        api: ModelApi,
        models: ModelRegistry,
        adapters: Mapping[AccountKey, Adapter],
        owner: str | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._adapters = adapters
        self._owner = owner or uuid.uuid4().hex
        self._access_control = AccessControl(store, settings.access)
        self._claimed_turns: dict[int, tuple[ClaimedTurn, asyncio.Task[None]]] = {}
        self._rate_limiters = {
            account: RateLimiter(chat.account_rate_limit, on_limit=partial(self._store_wait_later, account))
            for account, chat in adapters.items()
        }
        self._background_tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._max_suspect_turns = 1
        """If one is what ends processes, those it takes along are not blamed. Each that ends well
        doubles it: a process that lives has proven that most of them are not.
        """
        self._is_closing = False
        self._services = build_turn_services(settings, store, api, models)
        memory = MemoryService(store, self._services.ledger, model=settings.embedding_model)
        commands = CommandHandlers(store, self._services, self._stop_turns, memory)
        self._dispatcher = Dispatcher(store, self._services, commands, memory)

    # -- in

    async def inbox(self, incoming: Incoming) -> None:
        """Keep an event; see `core.port.Inbox`."""
        if incoming.kind is EventKind.MOVED:
            place = incoming.place
            await self._store.write_with_priority(move_chat, place.account_key, place.chat, incoming.text)
            self._access_control.invalidate()
            log.info("chat moved", platform=place.platform)
            return
        incoming = encrypt_api_key(sanitise(incoming), self._services.api_keys.vault)
        # The code first: who may use the bot already can become its operator, too.
        if not (await self._access_control.pair(incoming) or await self._access_control.allows(incoming)):
            log.info("not allowed", subjects=grant_subjects(incoming))  # as `parley allow` takes them
            raise AccessDeniedError
        accepted = await self._store.write_with_priority(store_event, incoming, self._settings)
        if accepted is AcceptResult.NEW:
            self._stop_local_turns(incoming)
        if accepted is AcceptResult.DROPPED and incoming.interaction_token is not None:
            raise AccessDeniedError(texts.TOO_FAST)  # the platform shows that it waits for a word
        log.debug("kept", key=incoming.key, kind=incoming.kind, accepted=accepted)
        self._wake.set()

    # -- on

    async def run(self) -> None:
        """Claim and run turns until cancelled; what still runs then is taken on later."""
        if self._store.is_exclusive:
            interrupted = await self._store.write(expire_leases, tuple(self._adapters))
            await self._services.ledger.settle_abandoned(0)
            log.info("begun", interrupted=interrupted)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claim_loop())
                group.create_task(self._heartbeat_loop())
                group.create_task(self._ledger_settle_loop())
                if not self._store.is_embedded:
                    group.create_task(self._limit_sharing_loop())
        finally:
            for _, task in self._claimed_turns.values():
                task.cancel()

    async def close(self, grace_seconds: float) -> None:
        """Begin nothing more, give running answers `patience` seconds, hand the rest over.

        What still arrives is kept for whoever comes next.
        """
        self._is_closing = True
        tasks = [task for _, task in self._claimed_turns.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        # A claim that was under way may have begun some more.
        unfinished = [task for _, task in self._claimed_turns.values() if not task.done()]
        ids = list(self._claimed_turns)
        for task in unfinished:
            task.cancel()
        if unfinished:
            log.info("handed over", turns=len(unfinished))
        if unfinished:
            await asyncio.wait(unfinished, timeout=2)
        await self._services.summariser.close()
        # What does not end has something on its way: its lease has to run out.
        finished_ids = [id_ for id_ in ids if id_ not in self._claimed_turns or self._claimed_turns[id_][1].done()]
        if finished_ids:
            try:
                await self._store.write(release_turns, self._owner, finished_ids)
            except StoreError as error:
                log.warning("leases not released", error=str(error))

    async def _claim_loop(self) -> None:
        while True:
            free_slots = self._free_slots()
            claimed: list[Turn] = []
            started_at = time.monotonic()
            if not self._is_closing:
                try:
                    claimed, rate_limits = await self._store.write(self._claim, free_slots, list(self._claimed_turns))
                    self._apply_waits(rate_limits)
                except StoreError as error:
                    log.error("no claim", error=str(error))
            for turn in claimed:
                self._start_turn(turn, started_at + LEASE_SECONDS * LEASE_TRUST_RATIO)
            if not claimed or free_slots == len(claimed):
                try:
                    async with asyncio.timeout(CLAIM_INTERVAL):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                finally:
                    self._wake.clear()

    def _free_slots(self) -> int:
        """How many turns may be begun: those that only wait for a platform count little."""
        busy = sum(not claimed.outbox.is_waiting for claimed, _ in self._claimed_turns.values())
        max_turns = self._settings.turns_at_once
        return min(max_turns - busy, max_turns * WAITING_TURNS_FACTOR - len(self._claimed_turns))

    def _claim(
        self, connection: Connection, free_slots: int, claimed_ids: Sequence[int]
    ) -> tuple[list[Turn], list[ActiveRateLimit]]:
        def take(most: int, among: ClaimFilter) -> list[Turn]:
            return claim_turns(
                connection,
                self._owner,
                tuple(self._adapters),
                lease_seconds=LEASE_SECONDS,
                limit=most,
                exclude=claimed_ids,
                claim_filter=among,
            )

        if free_slots <= 0:  # whoever wants to stop something must not wait for it to end
            claimed = (
                take(MAX_EXTRA_COMMAND_TURNS, ClaimFilter.COMMANDS) if free_slots > -MAX_EXTRA_COMMAND_TURNS else []
            )
        else:
            # First, or they would wait for all who come later, and there is always one.
            limit = min(free_slots, self._max_suspect_turns - sum(map(self._is_suspect, claimed_ids)))
            claimed = take(limit, ClaimFilter.SUSPECT) if limit > 0 else []
            if free_slots > len(claimed):
                claimed += take(min(free_slots - len(claimed), MAX_CLAIM_BATCH), ClaimFilter.NORMAL)
        return claimed, active_rate_limits(connection, self._adapters) if claimed else []

    def _is_suspect(self, turn_id: int) -> bool:
        claimed, _ = self._claimed_turns.get(turn_id, (None, None))
        return claimed is not None and claimed.turn.attempt > SUSPECT_ATTEMPTS and not claimed.outbox.is_waiting

    def _apply_waits(self, active_waits: list[ActiveRateLimit]) -> None:
        """What a platform told any process, this one before a restart included."""
        for limit in active_waits:
            self._rate_limiters[limit.account].block(limit.chat, limit.remaining_seconds)

    def _store_wait_later(self, account: AccountKey, chat: str, seconds: float) -> None:
        if seconds < MIN_STORED_WAIT_SECONDS:
            return  # over before anybody else could look

        async def keep() -> None:
            try:
                await self._store.write_with_priority(save_rate_limit, account, chat, seconds)
            except StoreError as error:
                log.warning("wait not kept", error=str(error))

        task = asyncio.create_task(keep())
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    def _start_turn(self, turn: Turn, lease_until: float) -> None:
        place = turn.incoming.place
        account = place.account_key
        claimed = ClaimedTurn(
            turn,
            self._owner,
            self._store,
            self._adapters[account],
            self._rate_limiters[account],
            lease_until,
        )
        task = asyncio.create_task(self._run_turn(claimed), name=f"turn {turn.id}")
        self._claimed_turns[turn.id] = claimed, task

    async def _run_turn(self, claimed: ClaimedTurn) -> None:
        turn = claimed.turn
        try:
            if turn.attempt > MAX_ATTEMPTS:
                log.error("given up", turn=turn.id, attempts=turn.attempt)
                await self._dispatcher.give_up(claimed)
            else:
                await self._dispatcher.run(claimed)
            if turn.attempt > SUSPECT_ATTEMPTS:
                self._max_suspect_turns = min(2 * self._max_suspect_turns, MAX_CLAIM_BATCH)
        except LostLeaseError:
            log.warning("lost the lease", turn=turn.id)
        except StoreError as error:
            log.error("turn left to be taken again", turn=turn.id, error=str(error))
        except Exception:
            # A defect of ours must not take the others down; the lease runs out and it is
            # tried again, a bounded number of times.
            log.exception("turn broke", turn=turn.id)
        finally:
            self._claimed_turns.pop(turn.id, None)
            self._wake.set()

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            ids = list(self._claimed_turns)
            if not ids:
                continue
            started_at = time.monotonic()
            try:
                stop_flags, active_waits = await self._store.write_with_priority(self._heartbeat, ids)
                self._apply_waits(active_waits)
            except StoreError as error:
                log.error("no heartbeat", error=str(error))
                continue
            for id_ in ids:
                if id_ not in self._claimed_turns:
                    continue
                claimed, task = self._claimed_turns[id_]
                if id_ not in stop_flags:
                    if not task.cancelling():  # once: it may have something to put in order
                        task.cancel()
                    continue
                claimed.lease_until = started_at + LEASE_SECONDS * LEASE_TRUST_RATIO
                if stop_flags[id_]:
                    claimed.stop_requested.set()

    def _heartbeat(self, connection: Connection, ids: list[int]) -> tuple[dict[int, bool], list[ActiveRateLimit]]:
        stop_flags = heartbeat(connection, self._owner, ids, lease_seconds=LEASE_SECONDS)
        return stop_flags, active_rate_limits(connection, self._adapters)

    async def _ledger_settle_loop(self) -> None:
        """Book what processes that died had asked."""
        while True:
            try:
                await self._services.ledger.settle_abandoned()
            except StoreError as error:
                log.error("requests not settled", error=str(error))
            await asyncio.sleep(LEDGER_SETTLE_INTERVAL)

    async def _limit_sharing_loop(self) -> None:
        """Divide each account's own limit by the number of processes that use it."""
        while True:
            try:
                processes = await self._store.write_with_priority(self._count_processes)
                for rate_limiter in self._rate_limiters.values():
                    rate_limiter.share_among(processes)
            except StoreError as error:
                log.error("processes not counted", error=str(error))
            await asyncio.sleep(PROCESS_COUNT_INTERVAL)

    def _count_processes(self, connection: Connection) -> int:
        leases.try_acquire(connection, f"process:{self._owner}", self._owner, 2 * PROCESS_COUNT_INTERVAL)
        return leases.count_holders(connection, "process:")

    def _stop_local_turns(self, incoming: Incoming) -> None:
        """Who stops an own answer that is written here need not wait for the stop's turn."""
        if not is_stop_request(incoming):
            return
        target, origin = target_turn(incoming), (incoming.place, incoming.sender.user)
        for claimed, _ in self._claimed_turns.values():
            question = claimed.turn.incoming
            if (
                target in (None, claimed.turn.id)
                and is_question(question)
                and (question.place, question.sender.user) == origin
            ):
                claimed.stop_requested.set()

    def _stop_turns(self, ids: list[int]) -> None:
        """The person said stop; what runs here hears it at once, elsewhere with a heartbeat."""
        for id_ in ids:
            if id_ in self._claimed_turns:
                self._claimed_turns[id_][0].stop_requested.set()

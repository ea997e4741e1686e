"""The engine: claims turns, runs them, and keeps their leases.

An event is stored as a turn before its platform is told that it arrived (`core.turns.inbox`). Any process on the
database may claim the turn. Of each conversation only the first open question can be claimed, so answers come in the
order of the questions; commands and buttons overtake.

A process that claims a turn holds a lease on it and renews it with every heartbeat (`core.store.lease_keeper`). When
the process dies the lease expires, and another process continues the turn where the database says it was. A process
that has the database for itself only reads its leases with most heartbeats, and renews them before they expire.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from core.clock import wait_for_event
from core.delivery.preview_load import PreviewLoad
from core.errors import StoreError
from core.port import AccountKey, Adapter, Incoming, Place
from core.scopes import chat_key
from core.services import Services
from core.settings import AccessMode
from core.store.claims import (
    SUSPECT_ATTEMPTS,
    CancelResult,
    ClaimFilter,
    Heartbeat,
    check_leases,
    claim_turns,
    expire_leases,
    has_open_turns,
    heartbeat,
    release_turns,
    shorten_leases,
)
from core.store.inbound import AcceptResult
from core.store.lease_keeper import LeaseKeeper, Renewal
from core.store.turns import LostLeaseError, Turn
from core.turns.access_control import AccessControl
from core.turns.access_requests import AccessRequests
from core.turns.button_actions import target_turn
from core.turns.claimed_turn import ClaimedTurn
from core.turns.dispatch import Dispatcher
from core.turns.ignored_events import IgnoredEvents
from core.turns.inbox import EventInbox, is_question, is_stop_request
from core.turns.recent_forwards import RecentForwards
from core.turns.shared_rate_limits import SharedRateLimits, SharedState
from core.turns.suggestions import Suggester
from core.turns.waiting_marks import WaitingMarks

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 12
"""Parley gives up on a turn that this many processes could not finish."""
MAX_TURNS_PER_CLAIM = 50
MAX_EXTRA_COMMANDS = 20
"""Commands that may run besides `turns_at_once` busy turns: a request to stop an answer must not wait for it."""
MIN_TURNS_PER_CHAT = 8
MAX_CHAT_SHARE = 0.5
"""The share of `turns_at_once` that the turns of one chat may take, so that it cannot keep all others waiting.
`MIN_TURNS_PER_CHAT` of its commands may run besides."""
WAITING_TURNS_FACTOR = 10
"""How many turns a process may have, with those that only wait for their platforms, as a multiple of
`turns_at_once`."""


@dataclass(frozen=True, slots=True)
class RunningTurn:
    claimed: ClaimedTurn
    task: "asyncio.Task[None]"

    @property
    def is_busy(self) -> bool:
        """Whether the turn uses this process's capacity. False while it waits for its platform, perhaps for hours."""
        return not self.claimed.outbox.is_waiting

    @property
    def is_busy_suspect(self) -> bool:
        return self.claimed.turn.failed_attempts >= SUSPECT_ATTEMPTS and self.is_busy


class Engine:
    """Runs the turns of these adapters' accounts."""

    def __init__(
        self, services: Services, adapters: Mapping[AccountKey, Adapter], *, max_attempts: int = MAX_ATTEMPTS
    ) -> None:
        store, timings = services.store, services.timings
        self._services = services
        self._store = store
        self._adapters = adapters
        self._owner = services.owner
        self._clock = timings.clock
        self._timings = timings
        self._max_attempts = max_attempts
        self._dispatcher = Dispatcher(services, self._on_cancelled)
        self._rate_limits = SharedRateLimits(services, adapters)
        access_control = AccessControl(store, services.settings.access, timings=timings)
        self._access_requests = AccessRequests(services, adapters, self._on_event_stored)
        self.inbox = EventInbox(
            services,
            access_control,
            self._access_requests,
            self._on_event_stored,
            RecentForwards(timings),
            IgnoredEvents(services.settings.messages_a_minute, timings),
            Suggester(services, adapters, access_control),
        )
        self._waiting_marks = WaitingMarks(store, adapters, self._rate_limits.limiter, services.settings, timings)
        self._running: dict[int, RunningTurn] = {}
        self._preview_load = PreviewLoad(timings)
        self._lease_keeper = LeaseKeeper(
            self._renew_leases, self._cancel_lost_turn, is_exclusive=store.is_exclusive, timings=timings
        )
        self._wake_up = asyncio.Event()
        self._has_waiting_turns = True
        """Whether there may be open turns besides those that run here. If not, there is nothing to claim until this
        process stores an event, or one of its turns fails or was no question; always True on a shared database."""
        self._max_suspects = 1
        """How many suspects run at once. One may crash the process, which counts as a failed attempt for all that run
        with it. So the number starts at 1, and doubles with each suspect that ends normally."""
        self._next_thorough_claim = 0.0
        """When to look for suspects and leases that are too long, by `Clock.monotonic`: not with every claim."""
        self._next_renewal = 0.0
        """When leases that no other process can acquire have to be renewed."""
        self._is_closing = False

    async def run(self) -> None:
        """Claim and run turns until cancelled. Other processes continue the turns that run then."""
        interrupted = 0
        if self._store.is_exclusive:
            interrupted = await self._store.write(expire_leases, tuple(self._adapters))
            await self._services.ledger.settle_abandoned(0)
        log.info("app.started", interrupted=interrupted)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claim_until_cancelled())
                group.create_task(self._lease_keeper.run())
                group.create_task(self._settle_ledger_until_cancelled())
                if self._services.settings.access is AccessMode.PAIRING:
                    group.create_task(self._access_requests.run())
                if not self._store.is_embedded:
                    group.create_task(self._rate_limits.divide_among_processes())
        finally:
            for running in self._running.values():
                running.task.cancel()

    async def close(self, grace_seconds: float) -> None:
        """Start no turn, give running ones `grace_seconds` to end, and release the others for the next process.

        Events that still arrive are stored for the next process.
        """
        self._is_closing = True
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        # A claim that was under way may have started more turns.
        ids = list(self._running)
        unfinished = [running.task for running in self._running.values() if not running.task.done()]
        for task in unfinished:
            task.cancel()
        if unfinished:
            log.info("turn.handed_over", turns=len(unfinished))
            await asyncio.wait(unfinished, timeout=self._timings.turn_cancel_timeout)
        await self._services.summariser.close()
        await self._waiting_marks.close()
        # A turn that does not end has a request in flight: its lease has to expire.
        await self._release([id_ for id_ in ids if id_ not in self._running or self._running[id_].task.done()])

    async def _release(self, ids: list[int]) -> None:
        if not ids:
            return
        try:
            await self._store.write(release_turns, self._owner, ids)
        except StoreError as error:
            log.warning("turn.release_failed", error=str(error))

    # Claiming

    async def _claim_until_cancelled(self) -> None:
        while True:
            if not self._is_closing and await self._claim_turns():
                continue  # there may be more
            timings = self._timings
            interval = timings.claim_interval if self._has_waiting_turns else timings.idle_claim_interval
            await wait_for_event(self._wake_up, interval, self._clock)
            self._wake_up.clear()

    async def _claim_turns(self) -> bool:
        """Claim turns and start them. Returns whether there may be more that can start."""
        requested_at = self._clock.monotonic()
        free_slots = self._free_slots()
        # While there is hardly room for normal turns, suspects would wait for all of them.
        is_thorough = requested_at >= self._next_thorough_claim or free_slots < MAX_TURNS_PER_CLAIM
        if is_thorough:
            self._next_thorough_claim = requested_at + self._timings.claim_interval
        try:
            turns, has_more, limits, self._has_waiting_turns = await self._store.write(
                self._claim, free_slots, list(self._running.values()), self._places(), is_thorough=is_thorough
            )
        except StoreError as error:
            log.error("turn.claim_failed", error=str(error))
            self._has_waiting_turns = True
            return False
        if limits is not None:
            former_chats = {chat_key(place) for place in self._places()}
            places = (turn.incoming.place for turn in turns)
            self._rate_limits.apply(limits, [place for place in places if chat_key(place) not in former_chats])
        if not self._running:
            self._schedule_renewal(requested_at)
        for turn in turns:
            self._start_turn(turn, requested_at)
        return has_more

    def _free_slots(self) -> int:
        """How many turns may start; negative if more run than should."""
        busy = sum(running.is_busy for running in self._running.values())
        max_turns = self._services.settings.turns_at_once
        return min(max_turns - busy, max_turns * WAITING_TURNS_FACTOR - len(self._running))

    def _claim(
        self,
        connection: Connection,
        free_slots: int,
        running: list[RunningTurn],
        places: list[Place],
        *,
        is_thorough: bool,
    ) -> tuple[list[Turn], bool, SharedState | None, bool]:
        """The transaction that claims turns. Also returns whether there may be more, and `_has_waiting_turns`.

        A thorough claim looks for suspects first, and for leases that are too long.
        """

        def claim(limit: int, claim_filter: ClaimFilter) -> list[Turn]:
            if limit <= 0:
                return []
            return claim_turns(
                connection,
                self._owner,
                tuple(self._adapters),
                lease_seconds=self._timings.lease_duration,
                limit=limit,
                exclude=[other.claimed.turn.id for other in running],
                busy_chats=busy_chats,
                command_chats=[chat for chat, count in commands.items() if count >= MIN_TURNS_PER_CHAT],
                claim_filter=claim_filter,
            )

        # A claim takes no more turns than the chat with the most turns may still have.
        max_per_chat = max(MIN_TURNS_PER_CHAT, int(self._services.settings.turns_at_once * MAX_CHAT_SHARE))
        chats, commands = Counter[str](), Counter[str]()
        for turn in (other.claimed.turn for other in running):
            counts = commands if turn.seq is None and turn.refusal is None else chats
            counts[chat_key(turn.incoming.place)] += 1
        busy_chats = [chat for chat, count in chats.items() if count >= max_per_chat]
        max_turns = max_per_chat - max((count for count in chats.values() if count < max_per_chat), default=0)
        suspects: list[Turn] = []
        if is_thorough and free_slots > 0:
            busy_suspects = sum(other.is_busy_suspect for other in running)
            suspects = claim(min(free_slots, self._max_suspects - busy_suspects), ClaimFilter.SUSPECT)
        if free_slots > 0:
            limit, claim_filter = min(free_slots - len(suspects), max_turns, MAX_TURNS_PER_CLAIM), ClaimFilter.NORMAL
        else:
            limit = min(MAX_EXTRA_COMMANDS, max_turns) if free_slots > -MAX_EXTRA_COMMANDS else 0
            claim_filter = ClaimFilter.COMMANDS
        others = claim(limit, claim_filter)
        turns = suspects + others
        if is_thorough and not turns:
            shorten_leases(connection, self._timings.lease_duration)
        claimed = [turn.incoming.place for turn in turns]
        limits = self._rate_limits.load(connection, [*places, *claimed]) if turns else None
        known = {other.claimed.turn.id for other in running} | {turn.id for turn in turns}
        has_waiting = not self._store.is_exclusive or has_open_turns(connection, tuple(self._adapters), exclude=known)
        return turns, len(others) == limit > 0, limits, has_waiting

    def _places(self) -> list[Place]:
        """Where this process has turns."""
        return [running.claimed.turn.incoming.place for running in self._running.values()]

    # Running

    def _start_turn(self, turn: Turn, requested_at: float) -> None:
        account = turn.incoming.place.account_key
        claimed = ClaimedTurn(
            turn,
            self._lease_keeper.add(turn.id, requested_at),
            self._store,
            self._adapters[account],
            self._rate_limits.limiter(account),
            self._timings,
            self._services.settings.answer_messages,
            self._preview_load,
            metrics=self._services.metrics.platform(account.platform),
            tracer=self._services.tracer,
        )
        if turn.seq is not None:
            self._preview_load.question_claimed(turn.id)
            self._waiting_marks.remove_later(turn.incoming)
        task = asyncio.create_task(self._run_turn(claimed), name=f"turn {turn.id}")
        self._running[turn.id] = RunningTurn(claimed, task)

    async def _run_turn(self, claimed: ClaimedTurn) -> None:
        turn = claimed.turn
        structlog.contextvars.bind_contextvars(turn=turn.id)  # in all log lines of this task
        received_at = self._clock.time() - turn.age_seconds
        is_finished = False
        try:
            with self._services.tracer.turn(turn.id, turn.incoming.place.platform, received_at, turn.attempt):
                if turn.failed_attempts >= self._max_attempts:
                    log.error("turn.given_up", turn=turn.id, attempts=turn.failed_attempts)
                    await self._dispatcher.give_up(claimed)
                else:
                    await self._dispatcher.run(claimed)
            is_finished = True
            if turn.failed_attempts >= SUSPECT_ATTEMPTS:
                self._next_thorough_claim = 0.0
                self._max_suspects = min(2 * self._max_suspects, MAX_TURNS_PER_CLAIM)
        except LostLeaseError:
            log.warning("turn.lease_lost", turn=turn.id)
        except StoreError as error:
            log.error("turn.interrupted", turn=turn.id, error=str(error))
        except Exception:
            # A defect in one turn must not end the others. The lease expires, and the turn is tried again.
            log.exception("turn.failed", turn=turn.id)
        finally:
            self._preview_load.question_started(turn.id)  # or never will be
            self._lease_keeper.remove(turn.id)
            self._running.pop(turn.id, None)
            # An error may have left it open; a command or a press may have stored messages to others.
            leaves_nothing = is_finished and is_question(turn.incoming)
            self._has_waiting_turns = self._has_waiting_turns or not leaves_nothing
            if self._has_waiting_turns:
                self._wake_up.set()

    # Heartbeats

    async def _renew_leases(self, ids: list[int]) -> Renewal[int]:
        """Renew the leases; learn which turns to stop and which chats to leave alone in the same write.

        Nobody else can acquire a lease in a database of this process alone: it writes only to keep them from expiring,
        and otherwise reads which turns to stop.
        """
        requested_at = self._clock.monotonic()
        if self._store.is_exclusive and requested_at < self._next_renewal:
            beat = await self._store.read(check_leases, self._owner, ids)
        else:
            beat, limits = await self._store.write_leases(self._heartbeat, ids, self._places())
            self._rate_limits.apply(limits)
            self._schedule_renewal(requested_at)
        self._stop_turns([id_ for id_, is_stopped in beat.kept.items() if is_stopped])
        return Renewal(beat.kept, beat.lost)

    def _schedule_renewal(self, renewed_at: float) -> None:
        self._next_renewal = renewed_at + self._timings.lease_duration / 2

    def _heartbeat(self, connection: Connection, ids: list[int], places: list[Place]) -> tuple[Heartbeat, SharedState]:
        """Which turns this process still has, and whether another process was asked to stop them."""
        beat = heartbeat(connection, self._owner, ids, lease_seconds=self._timings.lease_duration)
        return beat, self._rate_limits.load(connection, places)

    def _cancel_lost_turn(self, id_: int) -> None:
        if id_ in self._running:
            self._running[id_].task.cancel()

    # Stopping

    def _on_event_stored(self, incoming: Incoming, accepted: AcceptResult) -> None:
        if accepted is AcceptResult.NEW and is_stop_request(incoming):
            self._stop_own_question(incoming)
        if accepted is AcceptResult.WAITING:
            self._waiting_marks.show_later(incoming)
        self._has_waiting_turns = True
        self._wake_up.set()

    def _stop_own_question(self, incoming: Incoming) -> None:
        """Stop a question of the sender that runs here at once, before the turn of the request is claimed.

        A request that names no turn concerns the conversation in which it is made.
        """
        target, origin = target_turn(incoming), (incoming.place, incoming.sender.user)
        for running in self._running.values():
            turn = running.claimed.turn
            question = turn.incoming
            is_theirs = is_question(question) and (question.place, question.sender.user) == origin
            is_same_conversation = question.is_confidential == incoming.is_confidential
            if is_theirs and (target == turn.id or (target is None and is_same_conversation)):
                running.claimed.stop_requested.set()

    def _on_cancelled(self, result: CancelResult) -> None:
        self._stop_turns(result.running)
        for question in result.marked:
            self._waiting_marks.remove_later(question)

    def _stop_turns(self, ids: Collection[int]) -> None:
        """Stop turns that run here. Other processes read the request from the database with their next heartbeat."""
        for id_ in ids:
            if id_ in self._running:
                self._running[id_].claimed.stop_requested.set()

    # The ledger

    async def _settle_ledger_until_cancelled(self) -> None:
        """Count the token reservations of processes that died."""
        while True:
            try:
                await self._services.ledger.settle_abandoned()
            except StoreError as error:
                log.error("quota.settlement_failed", error=str(error))
            await self._clock.sleep(self._timings.ledger_settle_interval)

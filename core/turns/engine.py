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
from core.commands.handlers import Commands
from core.conversation.models import Models
from core.conversation.resources import resources
from core.delivery.gate import Gate
from core.errors import DeniedError, StoreError
from core.memory.memory import Memory
from core.port import Chat, Incoming, Kind
from core.settings import Settings
from core.store import leases, waits
from core.store.accepting import Accepted
from core.store.database import Store
from core.store.moves import move_chat
from core.store.turns import DOUBTED, Among, LostLeaseError, Turn, claim, free, heartbeat, release
from core.turns import words
from core.turns.access import Access, subjects
from core.turns.buttons import named
from core.turns.dispatch import Dispatch
from core.turns.held import Held
from core.turns.inbox import asks, cleaned, keep, sealed, stops

__all__ = ["Engine"]

log = structlog.get_logger(__name__)

LEASE = 6.0  # seconds
BEAT = 0.5  # seconds between heartbeats: how soon another process's /stop is heard
TRUST = 0.8  # of a lease, by our own clock
LOOK = 1.0  # seconds between looks for turns that others let go
MOST_ATTEMPTS = 12
MOST_CLAIMED = 50  # at once
SPARE = 20  # turns begun for commands though all are busy
WAITING = 10  # times as many turns as may be written at once may wait for their platforms
SHORT = 1.0  # seconds
SETTLE = 900.0  # seconds between looks for requests of processes that died
COUNT = 3.0  # seconds between counts of the processes on this database


class Engine:
    """`chats` are the adapters by (platform, account)."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        api: ModelApi,
        models: Models,
        chats: Mapping[tuple[str, str], Chat],
        owner: str | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._chats = chats
        self._owner = owner or uuid.uuid4().hex
        self._access = Access(store, settings.access)
        self._held: dict[int, tuple[Held, asyncio.Task[None]]] = {}
        self._gates = {
            account: Gate(chat.overall, told=partial(self._keep_wait, account))
            for account, chat in chats.items()
        }
        self._aside: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._doubted_at_once = 1
        """If one is what ends processes, those it takes along are not blamed. Each that ends well
        doubles it: a process that lives has proven that most of them are not.
        """
        self._closing = False
        self._resources = resources(settings, store, api, models)
        memory = Memory(store, self._resources.ledger, model=settings.embedding_model)
        commands = Commands(store, self._resources, self._stop, memory)
        self._dispatch = Dispatch(store, self._resources, commands, memory)

    # -- in

    async def inbox(self, incoming: Incoming) -> None:
        """Keep an event; see `core.port.Inbox`."""
        if incoming.kind is Kind.MOVED:
            place = incoming.place
            await self._store.write_first(
                move_chat, place.platform, place.account, place.chat, incoming.text
            )
            self._access.renew()
            log.info("chat moved", platform=place.platform)
            return
        if incoming.sender.is_bot:
            return
        incoming = sealed(cleaned(incoming), self._resources.accounts.vault)
        # The code first: who may use the bot already can become its operator, too.
        if not (await self._access.pair(incoming) or await self._access.allows(incoming)):
            log.info("not allowed", subjects=subjects(incoming))  # as `parley allow` takes them
            raise DeniedError
        accepted = await self._store.write_first(keep, incoming, self._settings)
        if accepted is Accepted.NEW:
            self._stop_own(incoming)
        if accepted is Accepted.IGNORED and incoming.ticket is not None:
            raise DeniedError(words.FAST)  # the platform shows that it waits for a word
        log.debug("kept", key=incoming.key, kind=incoming.kind, accepted=accepted)
        self._wake.set()

    # -- on

    async def run(self) -> None:
        """Claim and run turns until cancelled; what still runs then is taken on later."""
        if self._store.only:
            freed = await self._store.write(free, tuple(self._chats))
            await self._resources.ledger.settle(0)
            log.info("begun", interrupted=freed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claims())
                group.create_task(self._beats())
                group.create_task(self._settles())
                if not self._store.embedded:
                    group.create_task(self._shares())
        finally:
            for _, task in self._held.values():
                task.cancel()

    async def close(self, patience: float) -> None:
        """Begin nothing more, give running answers `patience` seconds, hand the rest over.

        What still arrives is kept for whoever comes next.
        """
        self._closing = True
        tasks = [task for _, task in self._held.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        # A claim that was under way may have begun some more.
        left = [task for _, task in self._held.values() if not task.done()]
        ids = list(self._held)
        for task in left:
            task.cancel()
        if left:
            log.info("handed over", turns=len(left))
        if left:
            await asyncio.wait(left, timeout=2)
        await self._resources.summaries.close()
        # What does not end has something on its way: its lease has to run out.
        ended = [id_ for id_ in ids if id_ not in self._held or self._held[id_][1].done()]
        if ended:
            try:
                await self._store.write(release, self._owner, ended)
            except StoreError as error:
                log.warning("leases not released", error=str(error))

    async def _claims(self) -> None:
        while True:
            room = self._room()
            claimed: list[Turn] = []
            began = time.monotonic()
            if not self._closing:
                try:
                    claimed, waits = await self._store.write(self._claim, room, list(self._held))
                    self._heed(waits)
                except StoreError as error:
                    log.error("no claim", error=str(error))
            for turn in claimed:
                self._begin(turn, began + LEASE * TRUST)
            if not claimed or room == len(claimed):
                try:
                    async with asyncio.timeout(LOOK):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                finally:
                    self._wake.clear()

    def _room(self) -> int:
        """How many turns may be begun: those that only wait for a platform count little."""
        busy = sum(not held.outbox.waiting for held, _ in self._held.values())
        most = self._settings.turns_at_once
        return min(most - busy, most * WAITING - len(self._held))

    def _claim(
        self, connection: Connection, room: int, held: Sequence[int]
    ) -> tuple[list[Turn], list[tuple[str, str, float]]]:
        def take(most: int, among: Among) -> list[Turn]:
            return claim(
                connection, self._owner, tuple(self._chats),
                lease=LEASE, most=most, but=held, among=among,
            )  # fmt: skip

        if room <= 0:  # whoever wants to stop something must not wait for it to end
            claimed = take(SPARE, Among.COMMANDS) if room > -SPARE else []
        else:
            # First, or they would wait for all who come later, and there is always one.
            most = min(room, self._doubted_at_once - sum(map(self._doubted, held)))
            claimed = take(most, Among.DOUBTED) if most > 0 else []
            if room > len(claimed):
                claimed += take(min(room - len(claimed), MOST_CLAIMED), Among.USUAL)
        return claimed, waits.current(connection, self._accounts()) if claimed else []

    def _doubted(self, turn: int) -> bool:
        held, _ = self._held.get(turn, (None, None))
        return held is not None and held.turn.attempt > DOUBTED and not held.outbox.waiting

    def _accounts(self) -> list[str]:
        return [":".join(account) for account in self._chats]

    def _heed(self, waited: list[tuple[str, str, float]]) -> None:
        """What a platform told any process, this one before a restart included."""
        for account, chat, seconds in waited:
            platform, _, name = account.partition(":")
            self._gates[platform, name].block(chat, seconds)

    def _keep_wait(self, account: tuple[str, str], chat: str, seconds: float) -> None:
        if seconds < SHORT:
            return  # over before anybody else could look

        async def keep() -> None:
            try:
                await self._store.write_first(waits.put, ":".join(account), chat, seconds)
            except StoreError as error:
                log.warning("wait not kept", error=str(error))

        task = asyncio.create_task(keep())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def _begin(self, turn: Turn, until: float) -> None:
        place = turn.incoming.place
        account = place.platform, place.account
        held = Held(
            turn, self._owner, self._store, self._chats[account], self._gates[account], until
        )
        task = asyncio.create_task(self._one(held), name=f"turn {turn.id}")
        self._held[turn.id] = held, task

    async def _one(self, held: Held) -> None:
        turn = held.turn
        try:
            if turn.attempt > MOST_ATTEMPTS:
                log.error("given up", turn=turn.id, attempts=turn.attempt)
                await self._dispatch.give_up(held)
            else:
                await self._dispatch.run(held)
            if turn.attempt > DOUBTED:
                self._doubted_at_once = min(2 * self._doubted_at_once, MOST_CLAIMED)
        except LostLeaseError:
            log.warning("lost the lease", turn=turn.id)
        except StoreError as error:
            log.error("turn left to be taken again", turn=turn.id, error=str(error))
        except Exception:
            # A defect of ours must not take the others down; the lease runs out and it is
            # tried again, a bounded number of times.
            log.exception("turn broke", turn=turn.id)
        finally:
            self._held.pop(turn.id, None)
            self._wake.set()

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            ids = list(self._held)
            if not ids:
                continue
            began = time.monotonic()
            try:
                known, waited = await self._store.write_first(self._beat, ids)
                self._heed(waited)
            except StoreError as error:
                log.error("no heartbeat", error=str(error))
                continue
            for id_ in ids:
                if id_ not in self._held:
                    continue
                held, task = self._held[id_]
                if id_ not in known:
                    if not task.cancelling():  # once: it may have something to put in order
                        task.cancel()
                    continue
                held.lease_until = began + LEASE * TRUST
                if known[id_]:
                    held.stop.set()

    def _beat(
        self, connection: Connection, ids: list[int]
    ) -> tuple[dict[int, bool], list[tuple[str, str, float]]]:
        known = heartbeat(connection, self._owner, ids, lease=LEASE)
        return known, waits.current(connection, self._accounts())

    async def _settles(self) -> None:
        """Book what processes that died had asked."""
        while True:
            try:
                await self._resources.ledger.settle()
            except StoreError as error:
                log.error("requests not settled", error=str(error))
            await asyncio.sleep(SETTLE)

    async def _shares(self) -> None:
        """Divide each account's own limit by the number of processes that use it."""
        while True:
            try:
                processes = await self._store.write_first(self._count)
                for gate in self._gates.values():
                    gate.share(processes)
            except StoreError as error:
                log.error("processes not counted", error=str(error))
            await asyncio.sleep(COUNT)

    def _count(self, connection: Connection) -> int:
        leases.take(connection, f"process:{self._owner}", self._owner, 2 * COUNT)
        return leases.holders(connection, "process:")

    def _stop_own(self, incoming: Incoming) -> None:
        """Who stops an own answer that is written here need not wait for the stop's turn."""
        if not stops(incoming):
            return
        one, who = named(incoming), (incoming.place, incoming.sender.user)
        for held, _ in self._held.values():
            asked = held.turn.incoming
            if (
                one in (None, held.turn.id)
                and asks(asked)
                and (asked.place, asked.sender.user) == who
            ):
                held.stop.set()

    def _stop(self, ids: list[int]) -> None:
        """The person said stop; what runs here hears it at once, elsewhere with a heartbeat."""
        for id_ in ids:
            if id_ in self._held:
                self._held[id_][0].stop.set()

"""Answers strangers once, and asks the operators whether to let them in.

A stranger's first message becomes a row in the database and the turn of a short notice. The message itself is not
stored, but the model that a link to the bot names: the greeting offers it when an operator has let them in. The
operators get a private message with buttons (`core.commands.access`): at once, then at most one in
`Timings.request_notice_interval`, however many strangers write. Strangers who have been answered, and those for whom
there is no room, are remembered for a while so that they cost no transaction.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping

import structlog

from core.bounded_dict import BoundedDict
from core.clock import wait_for_event
from core.commands.access import DENIED_COMMAND, REQUESTS_COMMAND
from core.commands.models import is_model_link
from core.errors import DeliveryError, StoreError
from core.port import AccountKey, Adapter, EventKind, Incoming, Sender, SupportsPrivateChats
from core.scopes import person_subject
from core.services import Services
from core.store.access_requests import announce_requests, as_notice, request_access, seconds_until_announcement
from core.store.grants import has_operator, list_operators
from core.store.inbound import AcceptResult

log = structlog.get_logger(__name__)

MAX_REMEMBERED_STRANGERS = 10_000
REMEMBERED_SECONDS = 3600.0
MAX_NAME_CHARS = 200


class AccessRequests:
    """`on_stored` is called with every notice that was stored."""

    def __init__(
        self,
        services: Services,
        adapters: Mapping[AccountKey, Adapter],
        on_stored: Callable[[Incoming, AcceptResult], object],
    ) -> None:
        self._services = services
        self._adapters = adapters
        self._on_stored = on_stored
        self._clock = services.timings.clock
        self._answered_until: BoundedDict[str, float] = BoundedDict(MAX_REMEMBERED_STRANGERS)
        """By person, by `Clock.monotonic`."""
        self._has_new = asyncio.Event()

    async def register(self, incoming: Incoming) -> bool:
        """Answer a stranger's first message. Returns whether the operators are asked about it. Raises `StoreError`."""
        sender = incoming.sender
        if incoming.kind not in (EventKind.PROMPT, EventKind.COMMAND) or sender.is_anonymous or sender.roles is None:
            return False
        if incoming.place.is_foreign:
            return False  # strangers of strangers: nobody would read the notice
        subject, now = person_subject(sender), self._clock.monotonic()
        if self._answered_until.get(subject, 0.0) > now:
            return False
        # An interaction is answered by its platform's response, which only the person sees.
        is_interaction = incoming.interaction_token is not None
        notice = None if is_interaction else as_notice(incoming, DENIED_COMMAND, incoming.key)
        is_new = await self._services.store.write(
            request_access, incoming, sender.name[:MAX_NAME_CHARS], notice, link=_model_link(incoming)
        )
        self._answered_until[subject] = now + REMEMBERED_SECONDS
        if is_new:
            log.info("access.requested", subject=subject)
            self._has_new.set()
            if notice is not None:
                self._on_stored(notice, AcceptResult.NEW)
        return is_new and await self._services.store.read(has_operator)

    async def run(self) -> None:
        """Tell the operators of new requests until cancelled, also of those that other processes left."""
        interval = self._services.timings.request_notice_interval
        while True:
            try:
                wait = await self._announce(interval)
            except StoreError as error:
                log.warning("access.requests_not_announced", error=str(error))
                wait = interval
            await wait_for_event(self._has_new, wait, self._clock)
            self._has_new.clear()
            # Not before the interval is over, although more have come meanwhile.

    async def _announce(self, interval: float) -> float:
        """Open the turns of the messages to the operators, if it is time. Returns the seconds until the next try."""
        store = self._services.store
        wait = await store.read(seconds_until_announcement, interval)
        if wait is None or wait > 0:
            return wait or interval
        candidates = [await self._notice(subject) for subject in await store.read(list_operators)]
        notices = [notice for notice in candidates if notice is not None]
        is_announced = bool(notices) and await store.write(announce_requests, notices, interval)
        if is_announced:
            for notice in notices:
                self._on_stored(notice, AcceptResult.NEW)
        return interval

    async def _notice(self, subject: str) -> Incoming | None:
        """The event whose reply asks an operator; None if the bot cannot write to them from here."""
        platform, _, user = subject.split(":", 2)
        adapters = [adapter for account, adapter in self._adapters.items() if account.platform == platform]
        if not adapters or not isinstance(adapter := adapters[0], SupportsPrivateChats):
            return None
        try:
            place = await adapter.open_private_chat(user)
        except DeliveryError as error:
            log.warning("access.operator_unreachable", subject=subject, failure=error.failure)
            return None
        return Incoming(
            EventKind.COMMAND,
            f"access {uuid.uuid4().hex}",
            place,
            Sender(platform, user, ""),
            "",
            command=REQUESTS_COMMAND,
        )


def _model_link(incoming: Incoming) -> str:
    """What the link contains by which a stranger came, if it names a model; else ""."""
    payload = incoming.text.strip() if incoming.command == "start" else ""
    return payload if is_model_link(payload) else ""

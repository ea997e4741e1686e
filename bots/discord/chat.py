"""Discord as a `Chat`: sending, changing and deleting messages; running the connection."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from bots.discord.answers import SUPPRESS_EMBEDS, Answers
from bots.discord.components import rows
from bots.discord.connection import Connection
from bots.discord.dialect import DiscordDialect
from bots.discord.faults import ARCHIVED, NO_MESSAGE, RefusedError
from bots.discord.forbidden import Brief, Forbidden
from bots.discord.intake import PLATFORM
from bots.discord.listening import SILENT, Listening, Suggest
from bots.discord.missed import History, Memory
from bots.discord.rest import Json, Rest
from bots.discord.shards import Leases
from bots.discord.supervision import Backoff
from bots.discord.synchronisation import Remember, Synchronisation
from bots.discord.ticket import Mode, Ticket
from bots.discord.timing import Timing
from core.commands.declared import Command
from core.errors import ConfigurationError, DeliveryError, Fault
from core.port import Attachment, Capabilities, Dialect, Inbox, Pace, Part, Place

__all__ = ["DiscordChat"]

CAPABILITIES = Capabilities(
    pace=Pace(burst=5, rate=1, reserve=2),
    preview="edit",
    preview_every=1.3,
    slower_after=3000,
    typing_every=8.0,
    stop_button=True,
    retry_button=True,
    keyed=True,
    menu_size=23,
)
MUTE = 300.0
"""Seconds for which a place that refused "typing" is spared it."""
LONGEST_KEY = 25
LIMIT = 2000


class DiscordChat:
    """The Discord adapter.

    `remember` keeps one small string over restarts: the digest of the commands Discord has.
    `gateway_url` None: asked from the API, with the number of shards. Sending needs no running
    gateway; `close` releases what sending after `run` has opened. `leases` divides the shards
    between all processes on one database. `history` tells where to look for messages that were
    missed, at most `too_old` seconds ago.
    """

    platform = PLATFORM
    overall = Pace(burst=5, rate=42, reserve=2)  # together below the 50 that a second allows

    def __init__(
        self,
        token: str,
        *,
        commands: Sequence[Command],
        suggest: Suggest,
        remember: Remember,
        api_base: str = "https://discord.com/api/v10",
        gateway_url: str | None = None,
        message_content: bool = False,
        timing: Timing | None = None,
        leases: Leases | None = None,
        history: History | None = None,
        too_old: float = 600.0,
    ) -> None:
        self.dialect: Dialect = DiscordDialect(limit=LIMIT)
        token = token.strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("DISCORD_BOT_TOKEN is no token: it has strange characters.")
        self.account = _account(token)
        timing = timing or Timing()
        self._rest = Rest(token, api_base)
        self._answers = Answers(self._rest, timing.acknowledged)
        self._listening = Listening(
            self._rest,
            self._answers,
            account=self.account,
            commands=commands,
            suggest=suggest,
            timing=timing,
        )
        self._synchronisation = Synchronisation(
            self._rest, remember, commands, Backoff(timing.first_retry, timing.last_retry)
        )
        self._connection = Connection(
            token,
            self._rest,
            self._listening,
            api_base=api_base,
            gateway_url=gateway_url,
            message_content=message_content,
            logged_in=self._synchronisation.want,
            timing=timing,
            account=self.account,
            leases=leases,
            memory=Memory(history, remember, too_old) if history else None,
        )
        self._forbidden = Forbidden(self._rest)
        self._muted = Brief()

    def capabilities(self, place: Place) -> Capabilities:  # noqa: ARG002 (the same everywhere)
        return CAPABILITIES

    @property
    def last_heard(self) -> float | None:
        """When Discord last acknowledged a heartbeat on every connection, on the monotonic
        clock; None while there is none (another process may serve them all).
        """
        return self._connection.last_heard

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        ticket: str | None = None,
        quiet: bool = False,
    ) -> str:
        body = _body(part)
        right = Ticket.decode(ticket) if ticket else None
        if right is None:
            return await self._post_or_tell(place, body, key, reply_to)
        if right.mode in (Mode.QUIET, Mode.REPLY) or (right.alive and (quiet or not right.posts)):
            try:
                return await self._through(right, body, quiet=quiet)
            except DeliveryError as error:
                # In private a normal message shows nothing to anybody else.
                if error.fault is not Fault.GONE or not (place.private and right.posts):
                    raise
                return await self._post(place, body, key, reply_to)
        reply_to = reply_to or await self._answers.reference(right)
        try:
            return await self._post(place, body, key, reply_to)
        except DeliveryError as error:
            if error.fault is not Fault.FORBIDDEN or not right.alive:
                raise
            return await self._answers.follow_up(right, body, hidden=right.hidden)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        body = _body(part)
        right = Ticket.decode(ticket) if ticket else None
        owns = right is not None and self._answers.owns(right, message)
        if right is not None and owns and (right.alive or not right.posts):
            await self._answers.edit(right, message, body)
            return
        try:
            await self._change(place, message, body)
        except RefusedError as refusal:
            if right is None or not right.alive or refusal.code != NO_MESSAGE:
                raise
            # Written through the interaction, by a process that is no more.
            await self._answers.edit(right, message, body)

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        right = Ticket.decode(ticket) if ticket else None
        owns = right is not None and self._answers.owns(right, message)
        if right is not None and owns and (right.alive or not right.posts):
            await self._answers.delete(right, message)
            return
        await self._awake(place, "DELETE", f"{_messages(place)}/{message}")

    async def typing(self, place: Place) -> None:
        channel = place.thread or place.chat
        if channel in self._muted:
            return
        try:
            await self._rest.call("POST", f"/channels/{channel}/typing")
        except DeliveryError as error:
            if error.fault not in (Fault.FORBIDDEN, Fault.GONE):
                raise
            # Where only an interaction may write: no use to ask again and again.
            self._muted.add(channel, MUTE)

    async def _through(self, right: Ticket, body: Json, *, quiet: bool) -> str:
        """Write through the interaction."""
        if right.mode in (Mode.QUIET, Mode.REPLY):
            return await self._answers.respond(right, body)
        return await self._answers.follow_up(right, body, hidden=quiet or right.hidden)

    async def _post_or_tell(self, place: Place, body: Json, key: str, reply_to: str | None) -> str:
        try:
            return await self._post(place, body, key, reply_to)
        except DeliveryError as error:
            if error.fault is Fault.FORBIDDEN and reply_to:
                await self._forbidden.tell(place, reply_to, error)
            raise

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        return await self._rest.download(attachment.ref, most)

    async def _post(self, place: Place, body: Json, key: str, reply_to: str | None) -> str:
        self._forbidden.check(place)
        nonce: Json = {"nonce": key[:LONGEST_KEY], "enforce_nonce": True}
        reference: Json = {}
        if reply_to:
            reference = {"message_reference": {"message_id": reply_to, "fail_if_not_exists": False}}
        try:
            message = await self._rest.call(
                "POST", _messages(place), {**body, **nonce, **reference, "flags": SUPPRESS_EMBEDS}
            )
        except DeliveryError as error:
            self._forbidden.note(place, error)
            raise
        identity = str(message.get("id", ""))
        if not _shows(message, body):
            # Sent before with this key, by a process that is no more: it stands as it was then.
            await self._change(place, identity, body)
        return identity

    async def _change(self, place: Place, message: str, body: Json) -> None:
        await self._awake(place, "PATCH", f"{_messages(place)}/{message}", body)

    async def _awake(self, place: Place, method: str, path: str, body: Json | None = None) -> None:
        """Make a request; in a thread that sleeps, once more after waking it."""
        try:
            await self._rest.call(method, path, body)
        except RefusedError as refusal:
            if refusal.code != ARCHIVED or place.thread is None:
                raise
            await self._rest.call("PATCH", f"/channels/{place.thread}", {"archived": False})
            await self._rest.call(method, path, body)

    async def run(self, inbox: Inbox) -> None:
        self._listening.inbox = inbox
        try:
            await self._connection.run()
        finally:
            await self._synchronisation.stop()
            await self._listening.settle()
            await self._rest.close()

    async def close(self) -> None:
        await self._rest.close()


def _messages(place: Place) -> str:
    return f"/channels/{place.thread or place.chat}/messages"


def _body(part: Part) -> Json:
    return {"content": part.text, "allowed_mentions": SILENT, "components": rows(part)}


def _shows(message: Json, body: Json) -> bool:
    """Whether what Discord has is what was sent."""
    same = str(message.get("content", "")).strip() == str(body["content"]).strip()
    return same and _actions(message.get("components")) == _actions(body["components"])


def _actions(components: object) -> list[str]:
    """What can be pressed."""
    match components:
        case list():
            return [action for one in components for action in _actions(one)]
        case {"custom_id": str(action)}:
            return [action]
        case {"components": inner}:
            return _actions(inner)
        case _:
            return []


def _account(token: str) -> str:
    """The bot's id, which is the first part of its token.

    Where it is not (a proxy's token, say): a name that is the same after a restart.
    """
    unreadable = "token-" + hashlib.sha256(token.encode()).hexdigest()[:16]
    first = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return unreadable
    return decoded if decoded.isdecimal() else unreadable

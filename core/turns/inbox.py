"""The inbox: checks who sent an event, and stores it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from core.buttons import ButtonAction, parse_action
from core.commands.compare import Comparison, parse_comparison
from core.commands.declarations import REMOVE
from core.conversation.preferences import Preferences, load_preferences, remember_client_language
from core.conversation.quotes import MAX_AUTHOR_CHARS, MAX_QUOTED_MESSAGE_CHARS, MAX_QUOTES, shorten
from core.conversation.redaction import find_api_key, redact_service_keys
from core.errors import AccessDeniedError, PressRefusedError
from core.i18n.translation import gettext, load_catalogue, match_language, speaking
from core.port import EventKind, Incoming, Quote, Sender
from core.scopes import conversation_key, person_key
from core.services import Services
from core.store.batches import MAX_BATCH_ATTACHMENTS
from core.store.chat_migration import move_chat
from core.store.inbound import (
    AcceptResult,
    InboundLimits,
    accept_edit,
    accept_event,
    accept_forward,
    may_change_question,
    seconds_until_accepted,
)
from core.store.incoming_codec import compared_model, with_compared_model
from core.store.suggested_questions import find_suggested_question
from core.store.turns import get_turn
from core.suggestions import Suggestions
from core.texts import answers as texts
from core.texts.access import ACCESS_REQUESTED
from core.timings import Timings
from core.turns.access_control import Access, AccessControl
from core.turns.access_requests import AccessRequests
from core.turns.foreign_questions import press_on_own_answer
from core.turns.ignored_events import IgnoredEvents
from core.turns.recent_forwards import RecentForwards
from core.turns.suggestions import Suggester

if TYPE_CHECKING:
    from core.conversation.vault import Vault

log = structlog.get_logger(__name__)

STOP_LIMIT_FACTOR = 2
INVALID_CHARACTERS = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class EventInbox:
    """The `core.port.Inbox` of all adapters. `on_stored` is called with every event that was stored."""

    services: Services
    access_control: AccessControl
    access_requests: AccessRequests
    on_stored: Callable[[Incoming, AcceptResult], object]
    recent_forwards: RecentForwards
    ignored_events: IgnoredEvents
    suggester: Suggester

    async def suggest(self, query: Incoming, *, allows_rich: bool = True) -> Suggestions | None:
        """See `core.suggestions.SupportsSuggestions`."""
        return await self.suggester.suggest(_sanitise(query), allows_rich=allows_rich)

    async def find_question(self, ask_token: str, sender: Sender) -> str | None:
        """See `core.suggestions.SupportsSuggestions`."""
        return await self.services.store.read(find_suggested_question, _sanitise_text(ask_token), person_key(sender))

    async def __call__(self, incoming: Incoming) -> None:
        if incoming.kind is EventKind.MOVED:
            await self._move_chat(incoming)
            return
        if incoming.kind is EventKind.FORWARD:
            await self._take_forward(_sanitise(incoming))
            return
        incoming = _encrypt_api_key(_as_key_command(_sanitise(incoming)), self.services.api_keys.vault)
        await self._check_access(incoming)
        if _is_foreign_press(incoming):
            incoming = await self._find_pressed_answer(incoming)
        elif incoming.kind is EventKind.BUTTON and not incoming.place.is_private:
            incoming = await self._with_confidentiality(incoming)
        incoming = _without_roles(incoming)
        forwards = self.recent_forwards.find(incoming) if _may_have_forwards(incoming) else []
        incoming = _with_forwards(incoming, forwards)
        comparison = self._find_comparison(incoming)  # before the transaction: it searches all models
        accepted = await self._store(incoming, comparison)
        for forward in forwards:
            self.recent_forwards.remove(forward)
        log.debug("turn.accepted", key=incoming.key, kind=incoming.kind, accepted=accepted)
        if incoming.interaction_token is not None:  # the platform shows that it waits for a response
            await self._refuse_at_once(incoming, accepted)
        self.on_stored(incoming, accepted)
        if accepted in (AcceptResult.RATE_LIMITED, AcceptResult.QUEUE_FULL) and _is_foreign_press(incoming):
            raise PressRefusedError(await self._limit_notice(incoming, accepted))

    async def _check_access(self, incoming: Incoming) -> None:
        """Raises `AccessDeniedError` if the sender may not use the bot; without a text if they are banned."""
        access = await self.access_control.check(incoming)
        # Somebody who may use the bot can become its operator, too.
        if access is Access.BANNED or not (await self.access_control.pair(incoming) or access is Access.ALLOWED):
            self.access_control.log_denial(incoming, access)
            if access is Access.BANNED:
                raise AccessDeniedError("")
            is_requested = await self.access_requests.register(incoming)
            with speaking(await load_catalogue(match_language(incoming.language))):
                raise AccessDeniedError(gettext(ACCESS_REQUESTED if is_requested else texts.ACCESS_DENIED))

    async def _find_pressed_answer(self, incoming: Incoming) -> Incoming:
        """The press in a foreign chat, in the place of the question. Raises `PressRefusedError`."""
        press = await press_on_own_answer(self.services.store, incoming)
        if press is not None:
            return press
        log.info("turn.press_ignored", platform=incoming.place.platform)
        preferences = await self.services.store.read(load_preferences, incoming, self.services.settings)
        with speaking(await load_catalogue(preferences.language)):
            raise PressRefusedError(gettext(texts.NOT_YOUR_PRESS))

    async def _with_confidentiality(self, incoming: Incoming) -> Incoming:
        """A press on a button of a confidential answer is as confidential."""
        press = parse_action(incoming.text)
        turn = await self.services.store.read(get_turn, press.turn_id) if press and press.turn_id else None
        return replace(incoming, is_confidential=True) if turn and turn.incoming.is_confidential else incoming

    async def _refuse_at_once(self, incoming: Incoming, accepted: AcceptResult) -> None:
        """Raise `AccessDeniedError` for an event that has no turn."""
        if accepted in (AcceptResult.MERGED, AcceptResult.DROPPED):
            notice = await self._limit_notice(incoming, accepted)
            # In a foreign place, a press asks the question where the platform does not say what people choose.
            raise PressRefusedError(notice) if incoming.place.is_foreign else AccessDeniedError(notice)

    async def _limit_notice(self, incoming: Incoming, accepted: AcceptResult) -> str:
        preferences = await self.services.store.read(load_preferences, incoming, self.services.settings)
        with speaking(await load_catalogue(preferences.language)):
            if accepted is AcceptResult.QUEUE_FULL:
                return gettext(texts.QUEUE_FULL)
            if accepted is AcceptResult.MERGED:
                return gettext(texts.ALREADY_STOPPING)
            return await too_fast_notice(self.services, incoming)

    async def _take_forward(self, incoming: Incoming) -> None:
        """Add a forwarded message to the question before it, or keep it for the one after it."""
        if not (incoming.quotes or incoming.attachments) or not await self.access_control.allows(incoming):
            return
        incoming = _without_roles(incoming)
        accepted = await self._store(incoming)
        if accepted is AcceptResult.IGNORED:
            self.recent_forwards.add(incoming)
        else:
            self.on_stored(incoming, accepted)

    async def _move_chat(self, incoming: Incoming) -> None:
        place = incoming.place
        await self.services.store.write_with_priority(move_chat, place.account_key, place.chat, incoming.text)
        self.access_control.invalidate()
        log.info("app.chat_moved", platform=place.platform)

    async def _store(self, incoming: Incoming, comparison: Comparison | None = None) -> AcceptResult:
        may_be_ignored = incoming.kind in (EventKind.EDIT, EventKind.FORWARD)
        person = person_key(incoming.sender)
        is_over_limit = may_be_ignored and self.ignored_events.is_limit_reached(person)
        if is_over_limit and not await self.services.store.read(self._may_change_question, incoming):
            return AcceptResult.IGNORED
        accepted = await self.services.store.write_with_priority(self._accept, incoming, comparison)
        if may_be_ignored and accepted in (AcceptResult.IGNORED, AcceptResult.DROPPED):
            self.ignored_events.add(person)
        return accepted

    def _may_change_question(self, connection: Connection, incoming: Incoming) -> bool:
        preferences = load_preferences(connection, incoming, self.services.settings)
        key, person = _conversation_key(incoming, preferences), person_key(incoming.sender)
        timings = self.services.timings
        return may_change_question(connection, incoming, conversation_key=key, person_key=person, timings=timings)

    def _accept(self, connection: Connection, incoming: Incoming, comparison: Comparison | None = None) -> AcceptResult:
        """The transaction that stores an event and opens its turn."""
        settings = self.services.settings
        preferences = load_preferences(connection, incoming, settings)
        remember_client_language(connection, incoming, preferences)
        is_stop = is_stop_request(incoming)
        # Who sends too much may still stop what is running, but not for ever.
        max_open = (STOP_LIMIT_FACTOR if is_stop else 1) * settings.open_turns
        key = _conversation_key(incoming, preferences)
        person = person_key(incoming.sender)
        limits = InboundLimits(settings.queue_length, max_open, settings.messages_a_minute)
        if incoming.kind is EventKind.FORWARD:
            timings = self.services.timings
            return accept_forward(connection, incoming, conversation_key=key, person_key=person, timings=timings)
        if incoming.kind is EventKind.EDIT:
            return accept_edit(connection, incoming, conversation_key=key, person_key=person, limits=limits)
        if comparison is not None:
            return _accept_comparison(connection, incoming, comparison, key, limits, self.services.timings)
        return accept_event(
            connection,
            incoming,
            conversation_key=key,
            person_key=person,
            ordered=is_question(incoming),
            is_stop=is_stop,
            is_exempt=is_exempt(incoming),
            limits=limits,
            timings=self.services.timings,
        )

    def _find_comparison(self, incoming: Incoming) -> Comparison | None:
        if incoming.kind is not EventKind.COMMAND or incoming.command != "compare":
            return None
        comparison = parse_comparison(self.services.models, incoming.text)
        return comparison if isinstance(comparison, Comparison) else None


def _conversation_key(incoming: Incoming, preferences: Preferences) -> str:
    return conversation_key(
        incoming.place, incoming.sender, shared=preferences.is_shared, is_confidential=incoming.is_confidential
    )


def _accept_comparison(
    connection: Connection,
    incoming: Incoming,
    comparison: Comparison,
    conversation_key: str,
    limits: InboundLimits,
    timings: Timings,
) -> AcceptResult:
    """Store a turn for each of the two models, which run at the same time; if the limits allow only one, none."""
    limits_of_first = InboundLimits(
        *(limit and max(1, limit - 1) for limit in (limits.max_queued, limits.max_open, limits.max_per_minute))
    )
    accept = partial(
        accept_event,
        connection,
        conversation_key=conversation_key,
        person_key=person_key(incoming.sender),
        ordered=True,
        timings=timings,
    )
    first = with_compared_model(incoming, incoming.key, comparison.question, comparison.first.id)
    accepted = accept(first, limits=limits_of_first)
    if accepted in (AcceptResult.NEW, AcceptResult.WAITING):
        second = with_compared_model(incoming, f"{incoming.key}#2", comparison.question, comparison.second.id)
        accept(second, limits=InboundLimits(), is_companion=True)  # the first one has left room for it
    return accepted


async def too_fast_notice(services: Services, incoming: Incoming) -> str:
    """Tells the sender how long to wait for the limit per minute."""
    limits = InboundLimits(max_per_minute=services.settings.messages_a_minute)
    query = partial(seconds_until_accepted, limits=limits, is_exempt=is_exempt(incoming))
    return texts.too_fast(await services.store.read(query, person_key(incoming.sender)))


def is_exempt(incoming: Incoming) -> bool:
    """Whether the event does not count towards the person's messages per minute."""
    return is_stop_request(incoming) or (incoming.kind is EventKind.COMMAND and incoming.command == "usage")


def is_question(incoming: Incoming) -> bool:
    """Whether a model has to answer. The questions of a conversation are answered one after another."""
    is_command = incoming.kind is EventKind.COMMAND and (
        incoming.command in ("ask", "retry")
        or (incoming.command == "new" and _has_own_content(incoming))
        or bool(compared_model(incoming))
    )
    is_press = _is_press(
        incoming,
        ButtonAction.RETRY,
        ButtonAction.RETRY_WITH,
        ButtonAction.CONTINUE,
        ButtonAction.EDIT_QUESTION,
        ButtonAction.ASK_EXAMPLE,
    )
    return incoming.kind in (EventKind.PROMPT, EventKind.EDIT) or is_command or is_press


def _has_own_content(incoming: Incoming) -> bool:
    """Whether the person wrote or sent something, besides what they reply to."""
    return bool(incoming.text.strip()) or any(not file.is_quoted for file in incoming.attachments)


def is_stop_request(incoming: Incoming) -> bool:
    """Whether the person wants an answer that is being written to end."""
    is_command = incoming.kind is EventKind.COMMAND and incoming.command == "stop"
    return incoming.kind is EventKind.STOP or is_command or _is_press(incoming, ButtonAction.STOP)


def _is_press(incoming: Incoming, *actions: ButtonAction) -> bool:
    press = parse_action(incoming.text) if incoming.kind is EventKind.BUTTON else None
    return press is not None and press.action in actions


def _is_foreign_press(incoming: Incoming) -> bool:
    return incoming.place.is_foreign and incoming.kind is EventKind.BUTTON


def _may_have_forwards(incoming: Incoming) -> bool:
    return incoming.kind is EventKind.PROMPT or (incoming.kind is EventKind.COMMAND and incoming.command == "ask")


def _with_forwards(incoming: Incoming, forwards: Sequence[Incoming]) -> Incoming:
    """The question with the messages that its sender forwarded just before."""
    quotes = [quote for forward in forwards for quote in forward.quotes] + list(incoming.quotes)
    files = [file for forward in forwards for file in forward.attachments] + list(incoming.attachments)
    return replace(incoming, quotes=tuple(quotes[:MAX_QUOTES]), attachments=tuple(files[:MAX_BATCH_ATTACHMENTS]))


def _without_roles(incoming: Incoming) -> Incoming:
    """Roles matter for access only, and a sender may have many."""
    sender = incoming.sender
    return replace(incoming, sender=replace(sender, roles=())) if sender.roles != () else incoming


def _sanitise(incoming: Incoming) -> Incoming:
    """Replace what databases and platforms reject: NUL characters and lone surrogates."""
    return replace(
        incoming,
        text=_sanitise_text(incoming.text),
        form_text=_sanitise_text(incoming.form_text),
        command=_sanitise_text(incoming.command),
        sender=replace(incoming.sender, name=_sanitise_text(incoming.sender.name)),
        attachments=tuple(replace(file, name=_sanitise_text(file.name)) for file in incoming.attachments),
        quotes=tuple(map(sanitise_quote, incoming.quotes[:MAX_QUOTES])),
    )


def sanitise_quote(quote: Quote) -> Quote:
    """Neither the model nor the database may see an API key in it."""
    text = redact_service_keys(shorten(_sanitise_text(quote.text), MAX_QUOTED_MESSAGE_CHARS))
    return replace(quote, text=text, author=_sanitise_text(quote.author)[:MAX_AUTHOR_CHARS])


def _sanitise_text(text: str) -> str:
    return INVALID_CHARACTERS.sub("\ufffd", text)


def _as_key_command(incoming: Incoming) -> Incoming:
    """A text that is or contains an API key becomes `/key`: neither the model nor the database may see it."""
    is_press = incoming.kind is EventKind.BUTTON
    is_text = incoming.kind in (EventKind.PROMPT, EventKind.EDIT, EventKind.COMMAND) and incoming.command != "key"
    if not (is_text or is_press):
        return incoming
    api_key = find_api_key(incoming.form_text if is_press else incoming.text)
    if api_key is None:
        return incoming
    return replace(
        incoming,
        kind=EventKind.COMMAND,
        command="key",
        text=api_key,
        form_text="",
        attachments=(),
        quotes=(),
        batch=None,
    )


def _encrypt_api_key(incoming: Incoming, vault: "Vault | None") -> Incoming:
    """Encrypt the API key in a `/key` command, so that the database never contains it."""
    api_key = incoming.text.strip()
    if incoming.command != "key" or api_key.casefold() in ("", REMOVE):
        return incoming
    return replace(incoming, text=vault.encrypt(api_key, person_key(incoming.sender)) if vault else "…")

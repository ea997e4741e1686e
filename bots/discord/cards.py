"""Builds cards from Discord's components V2, and remembers whether Discord accepts them.

A message with the flag has no content, and keeps the flag for ever: what it shows later is built of components, too.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import discord
import structlog

from bots.discord.errors import INVALID_FORM, DiscordApiError
from bots.discord.http_client import Json
from bots.discord.payloads import action_row, button_json, button_rows, select_json
from core.port import Card, CardSection, Part

CARD_FLAG = discord.MessageFlags.components_v2.flag

log = structlog.get_logger(__name__)
T = TypeVar("T")


def card_components(card: Card) -> list[Json]:
    components = [component for number, section in enumerate(card.sections) for component in _section(number, section)]
    return [_container([*components, *button_rows(card.buttons)])]


def text_components(part: Part) -> list[Json]:
    """A part without a card, for a message that has been one."""
    menu = [action_row([select_json(part.menu)])] if part.menu else []
    return [_container([_text(part.text), *menu, *button_rows(part.buttons)])]


def _section(number: int, section: CardSection) -> Iterator[Json]:
    if section.button is not None:
        yield {
            "type": discord.ComponentType.section.value,
            "components": [_text(section.text)],
            "accessory": button_json(section.button),
        }
        return
    yield _text(section.text)
    if section.menu:
        yield action_row([select_json(section.menu, number)])
        yield {"type": discord.ComponentType.separator.value}


def _text(text: str) -> Json:
    return {"type": discord.ComponentType.text_display.value, "content": text}


def _container(components: list[Json]) -> Json:
    return {"type": discord.ComponentType.container.value, "components": components}


@dataclass(slots=True)
class CardSupport:
    """For one account, as long as the process lives."""

    is_supported: bool = True
    """False if Discord refused the first card."""
    _has_succeeded: bool = False

    async def send(self, part: Part, request: Callable[[Part], Awaitable[T]]) -> T:
        """Call `request` with `part`, or without its card if Discord does not accept that. Raises `DeliveryError`."""
        if part.card is None or not self.is_supported:
            return await request(replace(part, card=None))
        try:
            result = await request(part)
        except DiscordApiError as error:
            if error.code != INVALID_FORM:
                raise
            self.is_supported = self._has_succeeded
            log.warning("discord.card_refused")
            return await request(replace(part, card=None))
        self._has_succeeded = True
        return result

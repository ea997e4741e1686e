"""Publishes the commands in the menus of Telegram's clients: by kind of chat, in all languages of the bot."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog
from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats
from telegram.error import BadRequest, Forbidden

from bots.telegram.errors import retry
from bots.telegram.timings import TelegramTimings
from core.backoff import Backoff
from core.commands.declarations import Command
from core.errors import StoreError
from core.i18n.translation import catalogues_digest, read_translations
from core.port import StateStore

log = structlog.get_logger(__name__)

Menus = Mapping[BotCommandScope, Sequence[BotCommand]]
T = TypeVar("T")


class CommandMenus:
    """Updates the menus that differ. Requests that fail are repeated, unless Telegram refuses them.

    Menus in other languages are not compared one by one: `state` has a digest of what was published. Without it, only
    the English ones are published, which Telegram shows to everybody.
    """

    def __init__(
        self, bot: Bot, commands: Sequence[Command], state: StateStore | None, timings: TelegramTimings
    ) -> None:
        self._bot = bot
        self._menus: Menus = {
            BotCommandScopeAllPrivateChats(): _menu(commands),
            BotCommandScopeAllGroupChats(): _menu(command for command in commands if not command.is_for_private_chats),
        }
        self._state = state
        self._timings = timings

    async def publish(self) -> None:
        """Raises `TelegramError` for a request that Telegram refuses."""
        if not any(self._menus.values()):
            return
        for scope, menu in self._menus.items():
            if await self._call("getMyCommands", partial(self._bot.get_my_commands, scope=scope)) != menu:
                await self._call("setMyCommands", partial(self._bot.set_my_commands, menu, scope=scope))
                log.info("telegram.commands_published", scope=scope.type)
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        while self._state is not None:
            try:
                await self._publish_translations(self._state)
                return
            except StoreError:
                log.warning("telegram.commands_not_translated", failure="store")
                await self._timings.clock.sleep(backoff.next_delay())

    async def _publish_translations(self, state: StateStore) -> None:
        name = f"telegram.commands.{self._bot.id}"
        digest = await asyncio.to_thread(_digest, self._menus)
        if await state.load_state(name) == digest:
            return
        descriptions = {command.description for menu in self._menus.values() for command in menu}
        translations = await asyncio.to_thread(read_translations, descriptions)
        for language, texts in translations.items():
            for scope, menu in self._menus.items():
                translated = [
                    BotCommand(command.command, texts.get(command.description, command.description)) for command in menu
                ]
                request = partial(self._bot.set_my_commands, translated, scope=scope, language_code=language)
                await self._call("setMyCommands", request)
        await state.save_state(name, digest)
        log.info("telegram.commands_translated", languages=len(translations))

    async def _call(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        return await retry(method, request, self._bot.token, self._timings, permanent=(BadRequest, Forbidden))


def _menu(commands: Iterable[Command]) -> tuple[BotCommand, ...]:
    return tuple(BotCommand(command.name, command.description) for command in commands)


def _digest(menus: Menus) -> str:
    lines = [
        f"{scope.type} {command.command} {command.description}" for scope, menu in menus.items() for command in menu
    ]
    return hashlib.sha256("\n".join([*lines, catalogues_digest()]).encode()).hexdigest()

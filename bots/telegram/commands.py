"""Publishes the commands in the menu of Telegram's clients, in all languages of the bot."""

import asyncio
import hashlib
from collections.abc import Sequence

import structlog
from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats

from core.commands.declarations import Command
from core.errors import StoreError
from core.i18n.translation import catalogues_digest, read_translations
from core.port import StateStore

SCOPES: tuple[BotCommandScope, ...] = (BotCommandScopeAllPrivateChats(), BotCommandScopeAllGroupChats())

log = structlog.get_logger(__name__)


async def publish_commands(bot: Bot, commands: Sequence[Command], state: StateStore | None) -> None:
    """Update the menus that differ. Raises `TelegramError`.

    Menus in other languages are not compared one by one: `state` has a digest of what was published. Without it, only
    the English ones are published, which Telegram shows to everybody.
    """
    menu = tuple(BotCommand(command.name, command.description) for command in commands)
    for scope in SCOPES:
        if menu and await bot.get_my_commands(scope=scope) != menu:
            await bot.set_my_commands(menu, scope=scope)
            log.info("telegram.commands_published", scope=scope.type)
    if menu and state is not None:
        try:
            await _publish_translations(bot, menu, state)
        except StoreError:
            log.warning("telegram.commands_not_translated", failure="store")


async def _publish_translations(bot: Bot, menu: Sequence[BotCommand], state: StateStore) -> None:
    name = f"telegram.commands.{bot.id}"
    digest = await asyncio.to_thread(_digest, menu)
    if await state.load_state(name) == digest:
        return
    translations = await asyncio.to_thread(read_translations, {command.description for command in menu})
    for language, texts in translations.items():
        translated = [
            BotCommand(command.command, texts.get(command.description, command.description)) for command in menu
        ]
        for scope in SCOPES:
            await bot.set_my_commands(translated, scope=scope, language_code=language)
    await state.save_state(name, digest)
    log.info("telegram.commands_translated", languages=len(translations))


def _digest(menu: Sequence[BotCommand]) -> str:
    commands = "\n".join(f"{command.command} {command.description}" for command in menu)
    return hashlib.sha256(f"{commands}\n{catalogues_digest()}".encode()).hexdigest()

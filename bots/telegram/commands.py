"""Publishes the commands in the menu of Telegram's clients."""

from collections.abc import Iterable

import structlog
from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats

from core.commands.declarations import Command

SCOPES: tuple[BotCommandScope, ...] = (BotCommandScopeAllPrivateChats(), BotCommandScopeAllGroupChats())

log = structlog.get_logger(__name__)


async def publish_commands(bot: Bot, commands: Iterable[Command]) -> None:
    """Update the menus that differ. Raises `TelegramError`."""
    menu = tuple(BotCommand(command.name, command.description) for command in commands)
    for scope in SCOPES:
        if menu and await bot.get_my_commands(scope=scope) != menu:
            await bot.set_my_commands(menu, scope=scope)
            log.info("telegram.commands_published", scope=scope.type)

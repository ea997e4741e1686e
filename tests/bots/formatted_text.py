"""What people see: the bold text, links and code of a message, found in what a dialect renders."""

import re
from collections.abc import Callable
from io import StringIO

from rich.console import Console
from rich.segment import Segment
from telegram import MessageEntity

from bots.discord.dialect import DiscordDialect
from bots.rich_markdown import Markdown
from bots.telegram.dialect import TelegramDialect, part_entities
from bots.terminal.dialect import TerminalDialect
from core.delivery.splitter import Splitter
from core.port import Part


def telegram_part(text: str) -> Part:
    (part,) = Splitter(TelegramDialect()).update(text)
    return part


def telegram_texts(text: str, kind: str) -> list[str]:
    """The texts that entities of the type `kind` cover."""
    part = telegram_part(text)
    units = part.text.encode("utf-16-le")
    return [
        units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")
        for entity in part_entities(part)
        if entity.type == kind
    ]


def discord_text(text: str) -> str:
    (part,) = Splitter(DiscordDialect()).update(text)
    return part.text


def discord_texts(text: str, mark: str) -> list[str]:
    """The texts between pairs of `mark`, as Discord pairs them, without backslashes."""
    pairs = re.compile(rf"{re.escape(mark)}((?:\\.|(?!{re.escape(mark)})[^\\])+?){re.escape(mark)}", re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", match) for match in pairs.findall(discord_text(text))]


def terminal_segments(text: str) -> list[Segment]:
    (part,) = Splitter(TerminalDialect()).update(text)
    console = Console(file=StringIO(), width=500, force_terminal=True)
    return list(console.render(Markdown(part.text)))


def terminal_text(text: str) -> str:
    return "".join(segment.text for segment in terminal_segments(text))


def terminal_bold(text: str) -> list[str]:
    return [segment.text for segment in terminal_segments(text) if segment.style and segment.style.bold]


BOLD: dict[str, Callable[[str], list[str]]] = {
    "telegram": lambda text: telegram_texts(text, MessageEntity.BOLD),
    "discord": lambda text: discord_texts(text, "**"),
    "terminal": terminal_bold,
}

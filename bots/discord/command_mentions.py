"""Mentions of the bot's commands: `</model:123>`, which every client shows as /model and starts when it is clicked.

The default name stands in a mention whatever the client's language is. Mentions do not work inside code.
"""

import re
from collections.abc import Mapping

from bots.discord.dialect import MAX_MESSAGE_CHARS, DiscordDialect
from core.markdown.document import Link

WORD_START = r"(?<![^\s\"'“”„«‘([{（「『【。、：，；—])"
"""Not inside of an address, a path or a longer word."""


class OwnTextDialect(DiscordDialect):
    """For the bot's own texts: the commands that they name can be clicked. `ids`: those of the commands, by name."""

    def __init__(self, ids: Mapping[str, str], limit: int = MAX_MESSAGE_CHARS) -> None:
        super().__init__(limit)
        self._mentions = {name: f"</{name}:{command_id}>" for name, command_id in ids.items()}
        names = "|".join(map(re.escape, self._mentions)) or "(?!)"
        self._in_text = re.compile(rf"{WORD_START}/({names})(?![\w/-])")
        self._in_code = re.compile(rf"/({names})(?:\s+(.*))?\Z", re.DOTALL)
        self._link_dialect = DiscordDialect(limit)

    def escape_words(self, text: str) -> str:
        written, position = "", 0
        for command in self._in_text.finditer(text):
            written += super().escape_words(text[position : command.start()]) + self._mentions[command[1]]
            position = command.end()
        return written + super().escape_words(text[position:])

    def write_code_span(self, text: str) -> str:
        command = self._in_code.match(text.strip())
        if command is None:
            return super().write_code_span(text)
        mention, arguments = self._mentions[command[1]], command[2]
        return f"{mention} {super().write_code_span(arguments)}" if arguments else mention

    def write_link(self, link: Link, marks: frozenset[str]) -> str:
        return self._link_dialect.write_link(link, marks)  # a link cannot contain a mention

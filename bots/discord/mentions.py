"""Shows Discord's own marks in a person's text as clients show them. Pure functions of discord.py's objects.

    <@1> in <#2> at <t:1700000000:t> <:wave:3>     @Ann in #general at 2023-11-14 22:13 UTC :wave:
    </model:4>                                     /model

In code, clients show the marks themselves.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

MARK_PATTERN = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)|<(?P<kind>@[!&]?|#)(?P<id>\d{1,20})>|<a?:(?P<emoji>\w{1,32}):\d{1,20}>"
    r"|<t:(?P<seconds>-?\d{1,12})(?::(?P<style>[tTdDfFsSR]))?>|<id:(?P<page>[a-z-]{1,20})(?::\d{1,20})?>"
    r"|(?<!\\)</(?P<command>[^:>\n]{1,100}):\d{1,20}>",
    re.DOTALL,
)
UNKNOWN_NAMES = {"@": "somebody", "@!": "somebody", "@&": "role", "#": "channel"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATE_STYLES = ("d", "D")


@dataclass(frozen=True, slots=True)
class MentionNames:
    """Where the names in a text are from."""

    guild: discord.Guild | None = None
    reader: discord.User | discord.Member | None = None
    """Whoever may learn the names: those of channels that they cannot see stay hidden."""
    people: Mapping[str, str] = field(default_factory=dict)
    """By ID."""


def names_in_message(message: discord.Message, reader: discord.User | discord.Member) -> MentionNames:
    """`reader`: who sent it or quotes it."""
    return MentionNames(message.guild, reader, _names(message.mentions))


def names_in_command(guild: discord.Guild | None, user: discord.User | discord.Member, data: Any) -> MentionNames:
    """`data`: that of the interaction."""
    resolved = data.get("resolved") or {}
    nicknames = {id_: member.get("nick") for id_, member in (resolved.get("members") or {}).items()}
    people = {id_: nicknames.get(id_) or display_name(user) for id_, user in (resolved.get("users") or {}).items()}
    return MentionNames(guild, user, people)


def names_in_data(message: Mapping[str, Any]) -> MentionNames:
    """`message`: Discord's own JSON, which says nothing of the names of roles and channels."""
    return MentionNames(people={str(user.get("id")): display_name(user) for user in message.get("mentions") or ()})


def display_name(user: Mapping[str, Any]) -> str:
    """`user`: Discord's own JSON. Empty for nobody."""
    return str(user.get("global_name") or user.get("username") or "")


def _names(people: Iterable[discord.User | discord.Member]) -> dict[str, str]:
    return {str(user.id): user.display_name for user in people}


def replace_mentions(text: str, names: MentionNames) -> str:
    return MARK_PATTERN.sub(lambda mark: _show(mark, names), text)


def _show(mark: re.Match[str], names: MentionNames) -> str:
    if mark["kind"]:
        kind, id_ = mark["kind"], mark["id"]
        name = names.people.get(id_) if kind in ("@", "@!") else _guild_name(kind, int(id_), names)
        return f"{kind[0]}{name or UNKNOWN_NAMES[kind]}"
    if mark["emoji"]:
        return f":{mark['emoji']}:"
    if mark["seconds"]:
        return _show_time(int(mark["seconds"]), mark["style"]) or mark[0]
    if mark["command"]:
        return f"/{mark['command']}"
    return f"#{mark['page']}" if mark["page"] else mark[0]


def _guild_name(kind: str, id_: int, names: MentionNames) -> str | None:
    if names.guild is None:
        return None
    if kind == "@&":
        role = names.guild.get_role(id_)
        return role.name.removeprefix("@") if role else None
    channel = names.guild.get_channel_or_thread(id_)
    if channel is None or (isinstance(channel, discord.Thread) and channel.is_private()):
        return None
    reader = names.reader if isinstance(names.reader, discord.Member) else names.guild.default_role
    return channel.name if channel.permissions_for(reader).view_channel else None


def _show_time(seconds: int, style: str | None) -> str | None:
    """In UTC: the person's time zone is unknown. None for a time that clients do not show either."""
    try:
        time = EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return f"{time:%Y-%m-%d}" if style in DATE_STYLES else f"{time:%Y-%m-%d %H:%M} UTC"

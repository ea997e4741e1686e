"""What people do: they write, use commands, fill in forms, press and choose."""

import asyncio
import contextlib
import uuid
from typing import Any

from bots.sandbox.discord.rules import fields_of
from bots.sandbox.discord.scene import Scene, member_json
from bots.sandbox.discord.world import (
    VIEW,
    Channel,
    Interaction,
    Json,
    Message,
    Person,
    now,
    snowflake,
)

__all__ = ["People"]

INTERACTIONS = 5_000  # kept in mind
ATTACHMENT = 11  # a command's option that takes a file
ACKNOWLEDGE = 3.0  # seconds
REGISTERS = 3.0  # seconds within which a bot has commands


class People(Scene):
    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def permit(self, channel: Channel, permissions: int) -> None:
        """Change what the bot may do in a channel."""
        await self.announce()
        channel.permissions = permissions
        if channel.parent is None and channel.guild is not None and channel.guild.joined:
            await self.gateway.dispatch("CHANNEL_UPDATE", channel.json(), lambda data: data)

    async def say(
        self,
        person: Person,
        channel: Channel,
        content: str,
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        attachments: list[Json] | None = None,
    ) -> Message:
        await self.announce()
        message = Message(snowflake(), channel, person, content, attachments=attachments or [])
        message.at = self.clock()
        if self.mention in content:
            message.mentions.append(self.bot)
        if reply_to is not None:
            message.reference = reply_to.id
            if ping and reply_to.author is self.bot and self.bot not in message.mentions:
                message.mentions.append(self.bot)
        channel.messages.append(message)
        await self.tell("MESSAGE_CREATE", message)
        return message

    async def send_file(
        self,
        person: Person,
        channel: Channel,
        name: str,
        content: bytes,
        *,
        text: str = "",
        media_type: str = "application/octet-stream",
    ) -> Message:
        """A message with a file, which whoever knows its address can fetch."""
        kept = self.keep(name, content, media_type)
        return await self.say(person, channel, text, attachments=[kept])

    async def edit(self, person: Person, message: Message, content: str) -> None:
        if message.author is not person:
            raise ValueError("somebody else's message")
        message.edits.append(message.content)
        message.content, message.edited = content, now()
        await self.tell("MESSAGE_UPDATE", message)

    async def slash(
        self,
        person: Person,
        channel: Channel,
        name: str,
        /,
        *,
        user_installed: bool = False,
        **options: str | float,
    ) -> Interaction:
        """Use a command. Raises `ValueError` when the bot registered none like it."""
        command = await self._command(name, options, channel)
        types = {option["name"]: option["type"] for option in command["options"]}
        given = [{"name": k, "type": types[k], "value": v} for k, v in options.items()]
        data: Json = {"id": command["id"], "name": name, "type": 1, "options": given}
        files = [v for k, v in options.items() if types[k] == ATTACHMENT]
        if files:
            data["resolved"] = {"attachments": {str(v): self.about(str(v)) for v in files}}
        return await self._interact(2, person, channel, data, guest=user_installed)

    def upload(
        self, name: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> str:
        """A file for an option of a command; the option's value."""
        return str(self.keep(name, content, media_type)["id"])

    async def _command(
        self, name: str, options: dict[str, Any], channel: Channel, *, partial: bool = False
    ) -> Json:
        # A bot may register while it connects; a person sees commands only then.
        with contextlib.suppress(TimeoutError):
            await self.wait(lambda: self.commands or self.guild_commands, REGISTERS)
        local = [] if channel.guild is None else self.guild_commands.get(str(channel.guild.id), [])
        command = next((c for c in [*local, *self.commands] if c["name"] == name), None)
        if command is None:
            raise ValueError(f"no command {name!r}")
        known = {option["name"]: option for option in command.get("options") or []}
        missing = [n for n, o in known.items() if o.get("required") and n not in options]
        if (missing and not partial) or not options.keys() <= known.keys():
            raise ValueError(f"{name}: options {sorted(options)} do not fit {sorted(known)}")
        for key, value in options.items():
            allowed = [choice["value"] for choice in known[key].get("choices") or []]
            if allowed and value not in allowed:
                raise ValueError(f"{name}: {key} is one of {allowed}, not {value!r}")
        return command

    async def autocomplete(
        self,
        person: Person,
        channel: Channel,
        name: str,
        option: str,
        current: str,
        **others: str | float,
    ) -> list[Json]:
        """What is offered while `option` is typed; `others` are filled in already."""
        given = {**others, option: current}
        command = await self._command(name, given, channel, partial=True)
        types = {one["name"]: one["type"] for one in command["options"]}
        typed: list[Json] = [{"name": k, "type": types[k], "value": v} for k, v in given.items()]
        typed[-1]["focused"] = True
        data = {"id": command["id"], "name": name, "type": 1, "options": typed}
        asked = await self._interact(4, person, channel, data)
        await self.wait(lambda: asked.choices is not None, ACKNOWLEDGE)
        return asked.choices or []

    async def submit(
        self, person: Person, shown: Interaction, values: dict[str, str]
    ) -> Interaction:
        """Fill in the form that `shown` was answered with."""
        if shown.modal is None or shown.person is not person:
            raise ValueError("no form to fill in")
        fields = fields_of(shown.modal)
        if not values.keys() <= {one["custom_id"] for one in fields}:
            raise ValueError(f"the form has no {sorted(values)}")
        rows: list[Json] = []
        for one in fields:
            value = values.get(one["custom_id"], one.get("value") or "")
            least = one.get("min_length", 1 if one.get("required", True) else 0)
            if (value or one.get("required", True)) and not (
                least <= len(value) <= one.get("max_length", 4000)
            ):
                raise ValueError(f"{one['custom_id']!r} does not take {len(value)} characters")
            answer = {"type": 4, "id": len(rows) + 1, "custom_id": one["custom_id"], "value": value}
            rows.append({"type": 1, "id": len(rows) + 101, "components": [answer]})
        data = {"custom_id": shown.modal["custom_id"], "components": rows}
        form = await self._interact(
            5, person, shown.channel, data,
            message=shown.message, guest=shown.guest, trigger=shown,
        )  # fmt: skip
        shown.modal = None
        return form

    async def press(self, person: Person, message: Message, custom_id: str) -> Interaction:
        return await self._component(person, message, custom_id, 2, {})

    async def select(
        self, person: Person, message: Message, custom_id: str, values: list[str]
    ) -> Interaction:
        return await self._component(person, message, custom_id, 3, {"values": values})

    async def _component(
        self, person: Person, message: Message, custom_id: str, kind: int, more: Json
    ) -> Interaction:
        items = [item for row in message.components for item in row["components"]]
        item = next((item for item in items if item.get("custom_id") == custom_id), None)
        if item is None or item["type"] != kind or item.get("disabled") or message.deleted:
            raise ValueError(f"no component {custom_id!r} to use")
        if message.ephemeral_to not in (None, person.id):
            raise ValueError(f"{person.name} does not see this message")
        values, least = more.get("values", []), item.get("min_values", 1)
        offered = [option["value"] for option in item.get("options", [])]
        if kind == 3 and not least <= len(values) <= item.get("max_values", 1):
            raise ValueError(f"{len(values)} values are not what {custom_id!r} takes")
        if not set(values) <= set(offered):
            raise ValueError(f"{custom_id!r} offers {offered}, not {values}")
        data = {"custom_id": custom_id, "component_type": kind, **more}
        return await self._interact(3, person, message.channel, data, message=message)

    async def _interact(
        self,
        kind: int,
        person: Person,
        channel: Channel,
        data: Json,
        *,
        message: Message | None = None,
        guest: bool = False,
        trigger: Interaction | None = None,
    ) -> Interaction:
        await self.announce()
        made = Interaction(
            snowflake(), uuid.uuid4().hex, person, channel, kind, self.clock(), message, guest=guest
        )
        made.trigger = trigger
        self.interactions[made.token] = made
        if len(self.interactions) > INTERACTIONS:
            del self.interactions[next(iter(self.interactions))]
        guild = channel.guild
        shown: Json = {
            "id": str(made.id),
            "application_id": str(self.application_id),
            "type": kind,
            "token": made.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": channel.json(),
            "data": data,
            "app_permissions": str(VIEW if guest else channel.permissions),
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10_485_760,
            "authorizing_integration_owners": made.json()["authorizing_integration_owners"],
            "context": 1 if guild is None else 0,
        }
        if guild is None:
            shown["user"] = person.json()
        else:
            shown |= {
                "guild_id": str(guild.id),
                "guild_locale": "en-US",
                "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
                "member": {**member_json(person), "permissions": str(person.permissions)},
            }
        if message is not None:
            shown["message"] = message.json()
        timer = asyncio.get_running_loop().call_later(ACKNOWLEDGE, self._missed, made)
        self._late[made.id] = timer
        await self.gateway.dispatch("INTERACTION_CREATE", shown, lambda data: data)
        await self.note()
        return made

    def _missed(self, interaction: Interaction) -> None:
        del self._late[interaction.id]
        if interaction.acknowledged_at is None:
            interaction.late = True
            telling = asyncio.get_running_loop().create_task(self.note())
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

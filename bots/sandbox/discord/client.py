"""What people do in a client: they write, use commands, press buttons, select options."""

import contextlib
import re
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from bots.sandbox.discord.backend import ACKNOWLEDGE_SECONDS, Backend, member_json
from bots.sandbox.discord.enums import CommandType, ComponentType, InteractionType, OptionType
from bots.sandbox.discord.state import (
    CONSTANT_FIELDS,
    VIEW_CHANNEL,
    Channel,
    Interaction,
    Message,
    User,
    iso_now,
    next_snowflake,
)
from bots.sandbox.discord.validation import MAX_INPUT_CHARS
from bots.sandbox.stand_in import Json
from core.clock import Scheduled

SNAPSHOT_FIELDS = frozenset(
    {"type", "content", "embeds", "attachments", "timestamp", "edited_timestamp", "flags", "mentions", "components"}
)
VOICE_FLAG = 1 << 13
REGISTRATION_TIMEOUT_SECONDS = 3.0
"""A bot registers its commands within this time after it starts."""


class ClientBackend(Backend):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._acknowledge_timers: dict[int, Scheduled] = {}

    async def set_bot_permissions(self, channel: Channel, permissions: int) -> None:
        await self.dispatch_pending()
        channel.bot_permissions = permissions
        if channel.parent is None and channel.guild is not None and channel.guild.has_bot:
            await self.gateway.dispatch("CHANNEL_UPDATE", channel.json())

    async def send_message(
        self,
        user: User,
        channel: Channel,
        content: str,
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        attachments: list[Json] | None = None,
        age: float = 0.0,
        id: int | None = None,  # noqa: A002 (Discord's word)
        **extra_fields: Any,
    ) -> Message:
        """`age`: how many seconds ago the message was written, by its ID. `extra_fields` are further fields of
        Discord's object, such as embeds.
        """
        await self.dispatch_pending()
        message_id = id or next_snowflake() - (int(age * 1000) << 22)
        message = Message(message_id, channel, user, content, attachments=attachments or [], extra_fields=extra_fields)
        message.created_at = self.clock.monotonic() - age
        people = {**self.users, str(self.bot.id): self.bot}
        mentioned = dict.fromkeys(re.findall(r"<@!?(\d+)>", content))
        message.mentions = [people[user_id] for user_id in mentioned if user_id in people]
        if channel.guild is not None and f"<@&{channel.guild.bot_role_id}>" in content:
            message.mention_roles.append(channel.guild.bot_role_id)
        message.mention_everyone = "@everyone" in content
        if reply_to is not None:
            message.reply_to_id = reply_to.id
            if ping and reply_to.author is self.bot and self.bot not in message.mentions:
                message.mentions.append(self.bot)
        channel.messages.append(message)
        await self.dispatch_message("MESSAGE_CREATE", message)
        return message

    async def send_file(
        self,
        user: User,
        channel: Channel,
        name: str,
        content: bytes,
        *,
        text: str = "",
        media_type: str = "application/octet-stream",
    ) -> Message:
        """A message with a file."""
        attachment = self.add_attachment(name, content, media_type)
        return await self.send_message(user, channel, text, attachments=[attachment])

    async def send_files(
        self, user: User, channel: Channel, files: Mapping[str, bytes], media_type: str, *, text: str = ""
    ) -> Message:
        """A message with several files, by name."""
        attachments = [self.add_attachment(name, content, media_type) for name, content in files.items()]
        return await self.send_message(user, channel, text, attachments=attachments)

    async def send_voice(self, user: User, channel: Channel, content: bytes, **options: Any) -> Message:
        """A voice message, which has no text."""
        attachment = self.add_attachment("voice-message.ogg", content, "audio/ogg")
        attachment |= {"duration_secs": 3.2, "waveform": "AAAA"}
        return await self.send_message(user, channel, "", attachments=[attachment], flags=VOICE_FLAG, **options)

    async def send_sticker(self, user: User, channel: Channel, name: str, content: bytes) -> Message:
        sticker_id = self.add_attachment(f"{name}.png", content, "image/png")["id"]
        return await self.send_message(
            user, channel, "", sticker_items=[{"id": sticker_id, "name": name, "format_type": 1}]
        )

    async def forward_message(self, user: User, channel: Channel, original: Message) -> Message:
        """Discord does not say who wrote a forwarded message."""
        snapshot = {
            name: value for name, value in original.json(include_reply=False).items() if name in SNAPSHOT_FIELDS
        }
        reference = {"type": 1, "message_id": str(original.id), "channel_id": str(original.channel.id)}
        return await self.send_message(
            user, channel, "", message_reference=reference, message_snapshots=[{"message": snapshot}]
        )

    async def edit_message(self, user: User, message: Message, content: str) -> None:
        if message.author is not user:
            raise ValueError("not the author of the message")
        message.previous_texts.append(message.content)
        message.content, message.edited_timestamp = content, iso_now()
        await self.dispatch_message("MESSAGE_UPDATE", message)

    async def use_command(
        self, user: User, channel: Channel, name: str, /, *, is_user_installed: bool = False, **options: str | float
    ) -> Interaction:
        """Use a command. Raises `ValueError` when the bot registered none with this name and these options."""
        command = await self._find_command(name, options)
        data = _command_data(command, options)
        file_ids = [option["value"] for option in data["options"] if option["type"] == OptionType.ATTACHMENT]
        if file_ids:
            data["resolved"] = {"attachments": {file_id: self.files[file_id][0] for file_id in file_ids}}
        return await self._create_interaction(
            InteractionType.APPLICATION_COMMAND, user, channel, data, is_user_installed=is_user_installed
        )

    def upload_attachment(self, name: str, content: bytes, media_type: str = "application/octet-stream") -> str:
        """Upload a file for an option of a command. Returns the value of the option."""
        return str(self.add_attachment(name, content, media_type)["id"])

    async def use_message_command(
        self, user: User, message: Message, name: str, /, *, is_user_installed: bool = False
    ) -> Interaction:
        """Choose a command from the context menu of a message."""
        command = await self._find_registered(name, CommandType.MESSAGE)
        message_id = str(message.id)
        data = {
            "id": command["id"],
            "name": name,
            "type": CommandType.MESSAGE,
            "target_id": message_id,
            "resolved": {"messages": {message_id: message.json(include_reply=False)}},
        }
        return await self._create_interaction(
            InteractionType.APPLICATION_COMMAND, user, message.channel, data, is_user_installed=is_user_installed
        )

    async def submit_modal(self, opened_by: Interaction, text: str) -> Interaction:
        """Fill the only field of the form that an interaction opened, and send it."""
        await self.wait_for(lambda: opened_by.modal is not None, ACKNOWLEDGE_SECONDS)
        modal = opened_by.modal or {}
        field = modal["components"][0]["component"]
        if not (field.get("min_length") or 0) <= len(text) <= field.get("max_length", MAX_INPUT_CHARS):
            raise ValueError(f"the field does not take {len(text)} characters")
        return await self.send_submission(opened_by, modal["custom_id"], field["custom_id"], text)

    async def send_submission(
        self, opened_by: Interaction, custom_id: str, field_id: str, text: str, *, user: User | None = None
    ) -> Interaction:
        """What a client sends for a form; a modified one can send anything."""
        field = {"type": ComponentType.TEXT_INPUT, "id": 2, "custom_id": field_id, "value": text}
        label = {"type": ComponentType.LABEL, "id": 1, "component": field}
        return await self._create_interaction(
            InteractionType.MODAL_SUBMIT,
            user or opened_by.user,
            opened_by.channel,
            {"custom_id": custom_id, "components": [label]},
            message=opened_by.message,
            is_user_installed=opened_by.is_user_installed,
            trigger=opened_by,
        )

    async def _find_registered(self, name: str, command_type: CommandType) -> Json:
        # A bot may still be registering its commands.
        with contextlib.suppress(TimeoutError):
            await self.wait_for(lambda: self.commands, REGISTRATION_TIMEOUT_SECONDS)
        for command in self.commands:
            if (command["name"], command.get("type", CommandType.CHAT_INPUT)) == (name, command_type):
                return command
        raise ValueError(f"no command {name!r}")

    async def _find_command(self, name: str, options: dict[str, Any], *, is_partial: bool = False) -> Json:
        command = await self._find_registered(name, CommandType.CHAT_INPUT)
        options_by_name = {option["name"]: option for option in command.get("options") or []}
        is_complete = all(key in options for key, option in options_by_name.items() if option.get("required"))
        if not (is_complete or is_partial) or not options.keys() <= options_by_name.keys():
            raise ValueError(f"{name}: options {sorted(options)} do not fit {sorted(options_by_name)}")
        for key, value in options.items():
            allowed = [choice["value"] for choice in options_by_name[key].get("choices") or []]
            if allowed and value not in allowed:
                raise ValueError(f"{name}: {key} is one of {allowed}, not {value!r}")
        return command

    async def autocomplete(
        self, user: User, channel: Channel, name: str, option: str, current: str, **other_options: str | float
    ) -> list[Json]:
        """The choices offered while a user types `option`, with the other options already filled in."""
        options = {**other_options, option: current}
        data = _command_data(await self._find_command(name, options, is_partial=True), options)
        data["options"][-1]["focused"] = True
        interaction = await self._create_interaction(InteractionType.AUTOCOMPLETE, user, channel, data)
        await self.wait_for(lambda: interaction.choices is not None, ACKNOWLEDGE_SECONDS)
        return interaction.choices or []

    async def press_button(self, user: User, message: Message, custom_id: str) -> Interaction:
        return await self._use_component(user, message, custom_id, ComponentType.BUTTON)

    async def select_options(self, user: User, message: Message, custom_id: str, values: list[str]) -> Interaction:
        return await self._use_component(user, message, custom_id, ComponentType.SELECT, values=values)

    async def _use_component(
        self, user: User, message: Message, custom_id: str, component_type: ComponentType, **extra_data: list[str]
    ) -> Interaction:
        item = next((item for item in message.items if item.get("custom_id") == custom_id), None)
        if item is None or item["type"] != component_type or item.get("disabled") or message.is_deleted:
            raise ValueError(f"no component {custom_id!r} to use")
        if message.ephemeral_to not in (None, user.id):
            raise ValueError(f"{user.name} does not see this message")
        values = extra_data.get("values", [])
        options = [option["value"] for option in item.get("options", [])]
        if component_type is ComponentType.SELECT and not (
            item.get("min_values", 1) <= len(values) <= item.get("max_values", 1)
        ):
            raise ValueError(f"{custom_id!r} does not take {len(values)} values")
        if not set(values) <= set(options):
            raise ValueError(f"{custom_id!r} offers {options}, not {values}")
        data = {"custom_id": custom_id, "component_type": component_type, **extra_data}
        return await self._create_interaction(InteractionType.COMPONENT, user, message.channel, data, message=message)

    async def _create_interaction(
        self,
        interaction_type: InteractionType,
        user: User,
        channel: Channel,
        data: Json,
        *,
        message: Message | None = None,
        is_user_installed: bool = False,
        trigger: Interaction | None = None,
    ) -> Interaction:
        await self.dispatch_pending()
        interaction = Interaction(
            next_snowflake(),
            uuid.uuid4().hex,
            user,
            channel,
            interaction_type,
            self.clock.monotonic(),
            message,
            trigger=trigger,
            is_user_installed=is_user_installed,
        )
        self.interactions[interaction.token] = interaction
        guild = channel.guild
        payload: Json = {
            **CONSTANT_FIELDS["interaction"],
            "id": str(interaction.id),
            "application_id": str(self.application_id),
            "type": interaction_type,
            "token": interaction.token,
            "channel_id": str(channel.id),
            "channel": channel.json(),
            "data": data,
            "app_permissions": str(VIEW_CHANNEL if is_user_installed and guild else channel.effective_bot_permissions),
            "locale": user.locale,
            "authorizing_integration_owners": interaction.json()["authorizing_integration_owners"],
            "context": 0 if guild else 2 if channel.is_group else 1,
        }
        if guild is None:
            payload["user"] = user.json()
        else:
            payload |= {
                "guild_id": str(guild.id),
                "guild_locale": "en-US",
                "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
                "member": {**member_json(user, guild), "permissions": str(channel.permissions_of(user))},
            }
        if message is not None:
            payload["message"] = message.json()
        timer = self.clock.call_later(ACKNOWLEDGE_SECONDS, partial(self._expire_interaction, interaction))
        self._acknowledge_timers[interaction.id] = timer
        await self.gateway.dispatch("INTERACTION_CREATE", payload)
        self.notify_waiters()
        return interaction

    def _expire_interaction(self, interaction: Interaction) -> None:
        del self._acknowledge_timers[interaction.id]
        if interaction.acknowledged_at is None:
            interaction.has_failed = True
            self.notify_waiters()


def _command_data(command: Json, options: dict[str, str | float]) -> Json:
    types = {option["name"]: option["type"] for option in command["options"]}
    values = [{"name": name, "type": types[name], "value": value} for name, value in options.items()]
    return {"id": command["id"], "name": command["name"], "type": CommandType.CHAT_INPUT, "options": values}

"""Carries out what the page's person does on Discord's side, in the stand-in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bots.sandbox.discord.enums import OptionType
from bots.sandbox.discord.server import DiscordStandIn
from bots.sandbox.discord.state import Channel, Interaction, Message, User
from bots.sandbox.web import protocol
from bots.sandbox.web.discord_feed import DiscordFeed
from bots.sandbox.web.server import Uploads

MAX_THREADS = 50
Options = dict[str, str | float]
ActionOnMessage = (
    protocol.DiscordReact | protocol.DiscordMessageCommand | protocol.DiscordPress | protocol.DiscordSelect
)


class DiscordActions:
    """All methods raise `ValueError` for what a client does not allow."""

    def __init__(self, server: DiscordStandIn, feed: DiscordFeed, uploads: Uploads) -> None:
        self._server = server
        self._feed = feed
        self._uploads = uploads
        self._followers: set[asyncio.Task[None]] = set()
        self._handlers: dict[type[protocol.Action], Callable[[Any], Awaitable[Any]]] = {
            protocol.DiscordSend: self._send,
            protocol.DiscordEdit: self._edit,
            protocol.DiscordDelete: self._delete,
            protocol.DiscordReact: self._react,
            protocol.DiscordCommand: self._use_command,
            protocol.DiscordMessageCommand: self._use_message_command,
            protocol.DiscordAutocomplete: self._autocomplete,
            protocol.DiscordPress: self._press,
            protocol.DiscordSelect: self._select,
            protocol.DiscordSubmit: self._submit,
            protocol.DiscordCreateThread: self._create_thread,
        }

    async def close(self) -> None:
        for task in self._followers:
            task.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)

    async def perform(self, action: protocol.Action) -> Any:
        return await self._handlers[type(action)](action)

    async def _send(self, action: protocol.DiscordSend) -> str:
        person, channel = self._person(action.person), self._channel_of(action.person, action.channel)
        attachments = []
        if action.upload:
            upload = self._uploads.take(action.upload)
            attachments.append(self._server.add_attachment(upload.name, upload.content, upload.media_type))
        elif not action.text.strip():
            raise ValueError("Write something first.")
        target = None if action.reply_to is None else self._message(action.channel, action.reply_to)
        message = await self._server.send_message(
            person, channel, action.text, reply_to=target, attachments=attachments
        )
        return str(message.id)

    async def _edit(self, action: protocol.DiscordEdit) -> None:
        await self._server.edit_message(self._person(action.person), self._own_message(action), action.text)

    async def _delete(self, action: protocol.DiscordDelete) -> None:
        await self._server.delete_message(self._own_message(action))

    async def _react(self, action: protocol.DiscordReact) -> None:
        self._feed.toggle_reaction(self._visible_message(action), action.person, action.emoji)

    async def _use_command(self, action: protocol.DiscordCommand) -> str:
        channel = self._channel_of(action.person, action.channel)
        options = self._with_attachments(action.name, dict(action.options))
        person = self._person(action.person)
        return self._follow(
            await self._server.use_command(person, channel, action.name, is_user_installed=False, **options)
        )

    async def _use_message_command(self, action: protocol.DiscordMessageCommand) -> str:
        message = self._visible_message(action)
        return self._follow(await self._server.use_message_command(self._person(action.person), message, action.name))

    async def _press(self, action: protocol.DiscordPress) -> str:
        person, message = self._person(action.person), self._visible_message(action)
        return self._follow(await self._server.press_button(person, message, action.custom_id))

    async def _select(self, action: protocol.DiscordSelect) -> str:
        person, message = self._person(action.person), self._visible_message(action)
        return self._follow(await self._server.select_options(person, message, action.custom_id, action.values))

    async def _submit(self, action: protocol.DiscordSubmit) -> str:
        return self._follow(await self._server.submit_modal(self._interaction(action.interaction), action.text))

    def _follow(self, interaction: Interaction) -> str:
        """Announce what becomes of an interaction. Returns its ID."""
        task = asyncio.create_task(self._feed.follow(interaction))
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)
        return str(interaction.id)

    def _with_attachments(self, command_name: str, options: Options) -> Options:
        """The options with the values of attachments in place of the uploads."""
        if "is_user_installed" in options:  # an argument of `use_command`
            raise ValueError("There is no such option.")
        command = next((command for command in self._server.commands if command["name"] == command_name), {})
        for option in command.get("options") or []:
            if option["type"] == OptionType.ATTACHMENT and option["name"] in options:
                upload = self._uploads.take(str(options[option["name"]]))
                options[option["name"]] = self._server.upload_attachment(upload.name, upload.content, upload.media_type)
        return options

    async def _autocomplete(self, action: protocol.DiscordAutocomplete) -> list[dict[str, Any]]:
        channel = self._channel_of(action.person, action.channel)
        return await self._server.autocomplete(
            self._person(action.person), channel, action.name, action.option, action.current, **action.options
        )

    async def _create_thread(self, action: protocol.DiscordCreateThread) -> str:
        channel, owner = self._channel_of(action.person, action.channel), self._person(action.person)
        if channel.guild is None or channel.parent is not None or len(channel.guild.channels) >= MAX_THREADS:
            raise ValueError("No thread can be created here.")
        starter = None if action.message is None else self._message(action.channel, action.message)
        if starter is not None and str(starter.id) in self._server.channels:
            raise ValueError("This message has a thread already.")
        thread = self._server.create_thread(channel, action.name, starter, owner=owner)
        await self._server.dispatch_pending()
        self._feed.announce_world()
        return str(thread.id)

    def _person(self, user_id: str) -> User:
        user = self._server.users.get(user_id)
        if user is None:
            raise ValueError("There is no such person.")
        return user

    def _channel(self, channel_id: str) -> Channel:
        channel = self._server.channels.get(channel_id)
        if channel is None:
            raise ValueError("There is no such channel.")
        return channel

    def _channel_of(self, user_id: str, channel_id: str) -> Channel:
        """A channel that the person sees."""
        channel, person = self._channel(channel_id), self._person(user_id)
        members = channel.recipients if channel.guild is None else channel.guild.members
        if person not in members:
            raise ValueError(f"{person.name} does not see this channel.")
        return channel

    def _message(self, channel_id: str, message_id: str) -> Message:
        message = self._channel(channel_id).find_message(message_id)
        if message is None:
            raise ValueError("This message no longer exists.")
        return message

    def _visible_message(self, action: ActionOnMessage) -> Message:
        self._channel_of(action.person, action.channel)
        return self._message(action.channel, action.message)

    def _own_message(self, action: protocol.DiscordEdit | protocol.DiscordDelete) -> Message:
        message = self._message(action.channel, action.message)
        is_dismissed = isinstance(action, protocol.DiscordDelete) and str(message.ephemeral_to) == action.person
        if str(message.author.id) != action.person and not is_dismissed:
            raise ValueError("Only your own messages can be changed.")
        return message

    def _interaction(self, interaction_id: str) -> Interaction:
        interactions = self._server.interactions.values()
        interaction = next((one for one in interactions if str(one.id) == interaction_id), None)
        if interaction is None or interaction.modal is None:
            raise ValueError("This form is no longer open.")
        return interaction

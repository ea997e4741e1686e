"""Opens forms over the chat, and turns what people enter into their commands.

A form must be the first response to an interaction: what it needs from the database is read at once, with one deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from bots.discord.commands import ASK_ABOUT_MESSAGE
from bots.discord.event_intake import EventIntake
from bots.discord.http_client import Json
from bots.discord.interaction_responder import InteractionToken
from bots.discord.modals import (
    ASK_MODAL,
    EDIT_MODAL,
    INSTRUCTIONS_MODAL,
    MAX_FIELD_CHARS,
    Modal,
    ModalSubmission,
    modal_payload,
    read_submission,
)
from bots.discord.translate import (
    Interaction,
    translate_form_press,
    translate_message_command,
    translate_submission,
    with_quoted_message,
)
from core.bounded_dict import BoundedDict
from core.buttons import ButtonAction, ButtonPress, encode_action
from core.commands.declarations import RESET
from core.errors import RETRYABLE_DELIVERY_FAILURES, DeliveryError, DeliveryFailure, StoreError
from core.i18n.translation import gettext, gettext_noop, speaking
from core.port import Incoming
from core.texts.answers import EDIT_QUESTION_BUTTON, EMPTY_MESSAGE, QUESTION_NOT_EDITABLE

log = structlog.get_logger(__name__)

ReadInstructions = Callable[[Incoming], Awaitable[str]]
"""The instructions that apply to the sender of an event. Raises `StoreError`."""

ReadQuestion = Callable[[Incoming], Awaitable[str | None]]
"""The question that a press asks to edit; None if its sender may not. Raises `StoreError`."""

MESSAGE_FORGOTTEN_TEXT = gettext_noop("I no longer have that message. Use the command on it again.")
MESSAGE_NOT_READ_TEXT = gettext_noop("I couldn't read that message in time. Use the command on it again.")
FORM_REFUSED_TEXT = gettext_noop("Discord didn't open the form. Try again in a moment.")
MAX_OPEN_FORMS = 1000


@dataclass(slots=True)
class Forms:
    intake: EventIntake
    account: str
    read_instructions: ReadInstructions
    read_question: ReadQuestion
    _questions_about_messages: BoundedDict[str, Incoming] = field(default_factory=lambda: BoundedDict(MAX_OPEN_FORMS))
    """By interaction: the messages about which somebody is writing a question in a form. The form names the message,
    but the bot may not be able to read it later."""

    async def handle_submission(self, interaction: Interaction) -> None:
        submission = read_submission(interaction.data or {})
        if submission.name == ASK_MODAL:
            await self._ask_about_message(interaction, submission)
        elif submission.name == INSTRUCTIONS_MODAL:
            await self._change_instructions(interaction, submission)
        elif submission.name == EDIT_MODAL:
            await self._edit_question(interaction, submission)

    async def open_question_about_message(self, interaction: Interaction) -> None:
        """People without access get the same reply as to any other command."""
        incoming = translate_message_command(interaction, self.account)
        may_use, catalogue = await asyncio.gather(self.intake.may_use(incoming), self.intake.load_catalogue(incoming))
        if not may_use:
            await self.intake.store_interaction(incoming)
            return
        self._questions_about_messages[str(interaction.id)] = incoming
        data: Mapping[str, Any] = interaction.data or {}
        with speaking(catalogue):
            modal = Modal(
                ASK_MODAL,
                f"{interaction.id}:{data.get('target_id', '')}",
                title=gettext(ASK_ABOUT_MESSAGE),
                label=gettext("Your question"),
                placeholder=gettext("Leave empty, and I'll answer the message itself."),
            )
        await self._open(interaction, incoming, modal)

    async def _ask_about_message(self, interaction: Interaction, submission: ModalSubmission) -> None:
        incoming = translate_submission(interaction, self.account, "ask", submission.text)
        opened_by, _, message_id = submission.argument.partition(":")
        about = self._questions_about_messages.get(opened_by)
        if about is not None and (about.sender.user, about.place) == (incoming.sender.user, incoming.place):
            incoming = replace(incoming, quotes=about.quotes, attachments=about.attachments)
        else:
            deadline = asyncio.get_running_loop().time() + self.intake.timings.max_read_delay
            # One after the other: for people without access, the bot asks Discord for nothing.
            if await self.intake.check_access(incoming) is not False:
                message, refusal = await self._read_message(interaction, message_id, deadline)
                if message is None:
                    await self._refuse(incoming, refusal, returned_text=submission.text)
                    return
                incoming = with_quoted_message(incoming, interaction, message)
        await self.intake.store_interaction(incoming)

    async def _read_message(
        self, interaction: Interaction, message_id: str, deadline: float
    ) -> tuple[Json | None, str]:
        """A message of the channel in which the form was sent, or what the person is told without it.

        `deadline`: by the time of the event loop.
        """
        may_read = interaction.guild_id is None or interaction.permissions.read_message_history
        if not (may_read and message_id.isdecimal() and message_id.isascii()):
            return None, MESSAGE_FORGOTTEN_TEXT
        if asyncio.get_running_loop().time() >= deadline:
            return None, MESSAGE_NOT_READ_TEXT
        path = f"/channels/{interaction.channel_id}/messages/{message_id}"
        try:
            async with asyncio.timeout_at(deadline):
                return await self.intake.responder.http.call("GET", path), ""
        except TimeoutError:
            log.info("discord.message_not_read", failure="timeout")
            return None, MESSAGE_NOT_READ_TEXT
        except DeliveryError as error:
            log.info("discord.message_not_read", failure=error.failure)
            may_still_exist = error.failure in RETRYABLE_DELIVERY_FAILURES
            return None, MESSAGE_NOT_READ_TEXT if may_still_exist else MESSAGE_FORGOTTEN_TEXT

    async def open_instructions(self, interaction: Interaction, incoming: Incoming) -> None:
        """Show the current instructions. If a form cannot contain them, they are shown as for `/system`."""
        may_use, current, catalogue = await asyncio.gather(
            self.intake.may_use(incoming),
            self._current_instructions(incoming),
            self.intake.load_catalogue(incoming),
        )
        if not may_use or current is None or len(current) > MAX_FIELD_CHARS:
            await self.intake.store_interaction(incoming)
            return
        with speaking(catalogue):
            modal = Modal(
                INSTRUCTIONS_MODAL,
                "",
                title=gettext("The model's instructions"),
                label=gettext("Instructions"),
                placeholder=gettext("Leave empty for the default."),
                text=current,
            )
        await self._open(interaction, incoming, modal)

    async def _change_instructions(self, interaction: Interaction, submission: ModalSubmission) -> None:
        """Without a change, this is `/system`, which shows them."""
        incoming = translate_submission(interaction, self.account, "system", submission.text or RESET)
        may_use, current = await asyncio.gather(self.intake.may_use(incoming), self._current_instructions(incoming))
        if may_use and current is not None and current.strip() == submission.text:
            incoming = replace(incoming, text="")
        await self.intake.store_interaction(incoming)

    async def open_question(self, interaction: Interaction, incoming: Incoming, press: ButtonPress) -> None:
        """Show the question whose button was pressed. If a form cannot contain it, the core says why."""
        may_use, question, catalogue = await asyncio.gather(
            self.intake.may_use(incoming), self._current_question(incoming), self.intake.load_catalogue(incoming)
        )
        if not may_use or question is None or len(question) > MAX_FIELD_CHARS:
            await self.intake.store_interaction(incoming)
            return
        with speaking(catalogue):
            title = gettext(EDIT_QUESTION_BUTTON)
            modal = Modal(EDIT_MODAL, press.argument, title=title, label=gettext("Your question"), text=question)
        await self._open(interaction, incoming, modal)

    async def _edit_question(self, interaction: Interaction, submission: ModalSubmission) -> None:
        """Nothing is shown to others before it is certain that the sender may edit the question."""
        action = encode_action(ButtonAction.EDIT_QUESTION, submission.argument)
        incoming = translate_form_press(interaction, self.account, action, submission.text)
        has_access, question = await asyncio.gather(
            self.intake.check_access(incoming), self._current_question(incoming)
        )
        if has_access is None or (has_access and question is None):
            await self._refuse(incoming, QUESTION_NOT_EDITABLE)
        elif has_access and not submission.text:
            await self._refuse(incoming, EMPTY_MESSAGE)
        else:
            await self.intake.store_interaction(incoming)

    async def _current_question(self, incoming: Incoming) -> str | None:
        try:
            async with asyncio.timeout(self.intake.timings.max_read_delay):
                return await self.read_question(incoming)
        except (StoreError, TimeoutError) as error:
            log.info("discord.question_not_read", error=str(error) or "timeout")
            return None

    async def _current_instructions(self, incoming: Incoming) -> str | None:
        try:
            async with asyncio.timeout(self.intake.timings.max_read_delay):
                return await self.read_instructions(incoming)
        except (StoreError, TimeoutError) as error:
            log.info("discord.instructions_not_read", error=str(error) or "timeout")
            return None

    async def _open(self, interaction: Interaction, incoming: Incoming, modal: Modal) -> None:
        """Show the form, or say that Discord refused it. `incoming` is the event that asks for it."""
        try:
            await self.intake.responder.open_modal(str(interaction.id), interaction.token, modal_payload(modal))
        except DeliveryError as error:
            log.info("discord.modal_failed", failure=error.failure)
            if error.failure is not DeliveryFailure.GONE:
                await self._refuse(incoming, FORM_REFUSED_TEXT)

    async def _refuse(self, incoming: Incoming, text: str, *, returned_text: str = "") -> None:
        """Answer an interaction that opens no turn; only the person sees it. `returned_text`: what they wrote."""
        token = InteractionToken.decode(incoming.interaction_token or "")
        with speaking(await self.intake.load_catalogue(incoming)):
            refusal = gettext(text)
        await self.intake.refuse(token, refusal, returned_text=returned_text)

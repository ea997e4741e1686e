"""What a turn is about, and who deals with it."""

import re

import structlog

from core.api.client import ModelApi
from core.commands.declared import COMMANDS
from core.commands.handlers import Asking, Commands
from core.commands.menus import model_of
from core.commands.reply import Reply
from core.conversation.choices import Choices, read_choices
from core.conversation.models import Models
from core.errors import DeliveryError
from core.port import Incoming, Kind
from core.settings import Settings
from core.store.database import Store
from core.store.turns import (
    Accepted,
    State,
    Turn,
    answer_of,
    cancel,
    last_finished,
    reply,
    turn_of,
)
from core.turns import words
from core.turns.answer import Answer
from core.turns.held import Held
from core.turns.inbox import DENIED, asks

__all__ = ["Dispatch"]

log = structlog.get_logger(__name__)

REFUSED = (Accepted.FULL, Accepted.FAST, DENIED)
QUIET = {command.name: command.quiet for command in COMMANDS}
LONGEST_PROMPT = 400_000  # characters
DRAFTS_A_TURN = 64  # as `core.delivery.preview` numbers them
NOTHING_SAID = "There was nothing in that message. Write something, and a model answers."
NO_ATTACHMENTS = "I can not read {kinds} yet: text is what I understand."
NOT_YOURS = "That is somebody else's answer."


class Dispatch:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        api: ModelApi,
        models: Models,
        commands: Commands,
    ) -> None:
        self._settings = settings
        self._store = store
        self._api = api
        self._models = models
        self._commands = commands

    async def run(self, held: Held) -> None:
        """Deal with a turn to its end. Raises `LostLeaseError` and `StoreError` only."""
        turn = held.turn
        incoming = turn.incoming
        choices = await self._store.read(
            read_choices, incoming.place, incoming.sender, self._settings
        )
        try:
            if asks(incoming) and turn.note not in REFUSED:
                await self._question(held, choices)
            else:
                said = await self._said(turn, choices, held)
                if said is None:
                    await held.finish(State.DONE)
                else:
                    await held.outbox.load()
                    await held.reply(said, quiet=QUIET.get(incoming.command, True))
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.fault, said=str(error))
            await held.finish(State.FAILED)

    async def _said(self, turn: Turn, choices: Choices, held: Held) -> Reply | None:
        incoming = turn.incoming
        if turn.note == DENIED:
            return Reply("This bot answers only people its operator let in.")
        if turn.note == Accepted.FULL:
            return Reply(words.FULL)
        if turn.note == Accepted.FAST:
            return Reply(words.FAST)
        asking = Asking(
            incoming, turn.id, turn.conversation, choices, held.chat.capabilities(incoming.place)
        )
        match incoming.kind:
            case Kind.STOP:
                await self._stop_draft(turn)
                return None
            case Kind.BUTTON:
                return await self._pressed(asking)
            case _:
                return await self._commands.run(asking)

    async def _pressed(self, asking: Asking) -> Reply | None:
        action, _, argument = asking.incoming.text.partition(":")
        if action == "stop":
            return await self._stop_button(asking, argument)
        if action == "again":
            return await self._again(asking, argument)
        if action == "mp" and re.fullmatch(r"\d{1,4}", argument):
            return await self._commands.model_page(asking, int(argument), replace=True)
        if action == "m" or asking.incoming.text.startswith("m#"):
            model = model_of(self._models.chat(), asking.incoming.text)
            if model is None:
                return Reply("That model is not there any more. /model shows the present ones.")
            said = await self._commands.set_model(asking, model)
            return Reply(said.text, replace=True)
        log.info("unknown button", turn=asking.conversation)
        return Reply("That button is from an older version and does nothing any more.")

    async def _of_button(self, incoming: Incoming, argument: str) -> tuple[int, State] | None:
        """The conversation and state of the turn a button names, if the presser may touch it."""
        if not re.fullmatch(r"\d{1,18}", argument):
            return None
        found = await self._store.read(turn_of, int(argument))
        if found is None:
            return None
        conversation, asked, state = found
        choices = await self._store.read(
            read_choices, incoming.place, incoming.sender, self._settings
        )
        same_place = (asked.place.platform, asked.place.account, asked.place.chat) == (
            incoming.place.platform, incoming.place.account, incoming.place.chat,
        )  # fmt: skip
        theirs = asked.sender.user == incoming.sender.user
        if same_place and (theirs or choices.shared or incoming.sender.manages):
            return conversation, state
        return None

    async def _again(self, asking: Asking, argument: str) -> Reply:
        """An answer of which it is not known whether it arrived."""
        if await self._of_button(asking.incoming, argument) is None:
            return Reply(NOT_YOURS)
        return Reply(await self._store.read(answer_of, int(argument)) or words.GONE_ANSWER)

    async def _stop_button(self, asking: Asking, argument: str) -> Reply | None:
        found = await self._of_button(asking.incoming, argument)
        if found is None:
            return Reply(NOT_YOURS)
        await self._cancel(found[0], asking.turn)
        return None

    async def _stop_draft(self, turn: Turn) -> None:
        if turn.incoming.text.isdecimal():
            id_ = (int(turn.incoming.text) - 1) // DRAFTS_A_TURN
            found = await self._store.read(turn_of, id_)
            if found is not None and found[1].place == turn.incoming.place:
                await self._cancel(found[0], turn.id)

    async def _cancel(self, conversation: int, before: int) -> None:
        running, _ = await self._store.write(cancel, conversation, before)
        self._commands.stop_running(running)

    async def _question(self, held: Held, choices: Choices) -> None:
        turn = held.turn
        incoming = turn.incoming
        replace = incoming.kind is Kind.BUTTON or incoming.command == "retry"
        prompt = incoming.text.strip()
        refusal = None
        if incoming.kind is Kind.BUTTON and (
            await self._of_button(incoming, prompt.partition(":")[2]) is None
        ):
            refusal = NOT_YOURS
        elif replace:
            last = await self._store.read(last_finished, turn.conversation)
            if last is None:
                refusal = "There is nothing to answer again yet."
            else:
                prompt = last[0]
        elif not prompt and incoming.attachments:
            kinds = ", ".join(sorted({f"a {item.kind}" for item in incoming.attachments}))
            refusal = NO_ATTACHMENTS.format(kinds=kinds)
        elif not prompt:
            refusal = NOTHING_SAID
        elif len(prompt) > LONGEST_PROMPT:
            refusal = f"A message can have {LONGEST_PROMPT:,} characters at most."
        if refusal is not None:
            await held.outbox.load()
            await held.reply(Reply(refusal))
            return
        if turn.state is State.RUNNING and turn.age > self._settings.too_old:
            await self._too_old(held, choices, prompt, replace=replace)
            return
        answer = Answer(
            held,
            self._api,
            self._models,
            choices,
            prompt=prompt,
            replace=replace and turn.state is State.RUNNING,
            most_tokens=self._settings.max_answer_tokens,
        )
        await answer.run()

    async def _too_old(self, held: Held, choices: Choices, prompt: str, *, replace: bool) -> None:
        """The question is kept, so that /retry answers it."""
        await held.outbox.load()
        await self._store.write(
            reply, held.turn, held.owner, prompt=prompt, text="", note=words.TOO_OLD,
            model=choices.model, usage=(0, 0), replace=replace,
        )  # fmt: skip
        await held.deliver("", note=words.TOO_OLD)
        await held.finish(State.FAILED)

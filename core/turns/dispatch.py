"""What a turn is about, and who deals with it."""

from dataclasses import replace as replace_fields

import structlog

from core.commands.asking import literal
from core.commands.declared import COMMANDS
from core.commands.handlers import Asking, Commands
from core.commands.reply import Reply
from core.conversation.choices import MODEL, Choices, Chosen, read_choices
from core.conversation.resources import Resources
from core.conversation.scope import allowance_subjects
from core.errors import DeliveryError, StoreError
from core.memory.memory import Memory
from core.port import Button, Incoming, Kind
from core.store.accepting import Accepted
from core.store.conversations import Choice, choose
from core.store.database import Store
from core.store.spending import allowance
from core.store.turns import LostLeaseError, State, Turn, last_finished, question_of, reply, wipe
from core.turns import words
from core.turns.answer import Answer
from core.turns.buttons import Buttons
from core.turns.held import Held
from core.turns.inbox import asks
from core.turns.reading import Reading, readable
from core.turns.recalling import Recalling

__all__ = ["Dispatch"]

log = structlog.get_logger(__name__)

REFUSED = (Accepted.FULL, Accepted.FAST)
QUIET = {command.name: command.quiet for command in COMMANDS}
LONGEST_PROMPT = 400_000  # characters
NOTHING_SAID = "There was nothing in that message. Write something, and a model answers."
NO_ATTACHMENTS = (
    "I cannot read {kinds} yet: text, and files of text (PDF too), are what I understand."
)


class _Refused(Exception):  # noqa: N818 (an answer, not an error)
    """Why a question is not answered."""


def _prompt(incoming: Incoming, *, files: bool) -> str:
    """What is asked; nothing is enough where files are to be read."""
    prompt = incoming.text.strip()
    if not prompt and files:
        return ""
    if not prompt and incoming.attachments:
        kinds = ", ".join(sorted({f"a {item.kind}" for item in incoming.attachments}))
        raise _Refused(NO_ATTACHMENTS.format(kinds=kinds))
    if not prompt:
        raise _Refused(NOTHING_SAID)
    if len(prompt) > LONGEST_PROMPT:
        raise _Refused(f"A message can have {LONGEST_PROMPT:,} characters at most.")
    return prompt


class Dispatch:
    def __init__(
        self,
        store: Store,
        with_: Resources,
        commands: Commands,
        memory: Memory,
    ) -> None:
        self._settings = with_.settings
        self._store = store
        self._with = with_
        self._models = with_.models
        self._commands = commands
        self._memory = memory
        self._buttons = Buttons(store, with_.settings, with_.models, commands)

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
                    if incoming.command == "key" and incoming.text:
                        await self._wipe(held)
                    await held.reply(said, quiet=QUIET.get(incoming.command, True))
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.fault, said=str(error))
            await held.finish(State.FAILED)

    async def give_up(self, held: Held) -> None:
        """End a turn on which one process after another has died, whether or not the person can
        be told. Raises `LostLeaseError` and `StoreError` only.
        """
        try:
            await held.outbox.load()
            if held.turn.state is State.DELIVERING:
                await held.tell_doubt(held.outbox.parts, kept=True)
            else:
                note = f"{words.INTERNAL} [{held.turn.id}]"
                await held.deliver("", note=note, buttons=await self._kept(held, note))
        except DeliveryError as error:
            log.warning("not told", turn=held.turn.id, fault=error.fault)
        except (LostLeaseError, StoreError):
            raise
        except Exception:
            # What broke every attempt may break this one too: it must not go on for ever, with
            # whatever the person asks next behind it.
            log.exception("not told", turn=held.turn.id)
        await held.finish(State.FAILED)

    async def _kept(self, held: Held, note: str) -> tuple[Button, ...]:
        """Keep a question without an answer, so that it can be asked again."""
        incoming = held.turn.incoming
        prompt = incoming.text.strip()
        if not prompt or not (incoming.kind is Kind.PROMPT or incoming.command == "ask"):
            return ()
        choices = await self._store.read(
            read_choices, incoming.place, incoming.sender, self._settings
        )
        await self._store.write(
            reply, held.turn, held.owner, prompt=prompt, text="", note=note,
            model=choices.model, usage=(0, 0),
        )  # fmt: skip
        return (Button("Retry", f"retry:{held.turn.id}"),)

    async def _wipe(self, held: Held) -> None:
        """Take the message with somebody's key away, where the platform lets us, and what was
        kept of it.
        """
        incoming = held.turn.incoming
        await self._store.write(wipe, held.turn, held.owner)
        if incoming.message is None:
            return
        try:
            await held.outbox.remove(incoming.message)
        except DeliveryError as error:
            log.info("message with a key not deleted", turn=held.turn.id, fault=error.fault)

    async def _said(self, turn: Turn, choices: Choices, held: Held) -> Reply | None:
        incoming = turn.incoming
        if turn.note == Accepted.FULL:
            return Reply(words.FULL)
        if turn.note == Accepted.FAST:
            return Reply(words.FAST)
        asking = Asking(
            incoming, turn.id, turn.conversation, choices, held.chat.capabilities(incoming.place)
        )
        match incoming.kind:
            case Kind.STOP:
                return await self._buttons.stop_draft(turn)
            case Kind.BUTTON:
                return await self._buttons.pressed(asking)
            case _:
                return await self._commands.run(asking)

    async def _question(self, held: Held, choices: Choices) -> None:
        turn = held.turn
        try:
            prompt, replace = await self._asked(held)
        except _Refused as refused:
            await held.outbox.load()
            await held.reply(Reply(str(refused)))
            return
        running = turn.state is State.RUNNING
        if running and turn.age > self._settings.too_old:
            await self._too_old(held, choices, prompt, replace=replace)
            return
        notes: list[str] = []
        if running:
            choices = await self._moved(choices, notes)
        replace = replace and running
        account = await self._with.accounts.of(held.person)
        reading = Reading(held, self._memory, account)
        if running and not replace and not await self._read(reading, prompt):
            return
        recalling = Recalling(self._memory, self._store, account, turn.conversation, reading.files)
        answer = Answer(
            held, self._with, choices,
            prompt=prompt, replace=replace, notes=notes, recalling=recalling,
        )  # fmt: skip
        await answer.run()

    async def _read(self, reading: Reading, prompt: str) -> bool:
        """Read the files that came with a question; whether a model is to answer it."""
        held = reading.held
        files = readable(held.turn.incoming, held.chat)
        if not files:
            return True
        await held.outbox.load()
        await reading.run(files)
        if held.stop.is_set():
            await held.deliver("", note=words.STOPPED)
            await held.finish(State.STOPPED)
            return False
        if prompt and not reading.failed:
            return True
        await held.reply(Reply(literal(reading.said)))
        return False

    async def _asked(self, held: Held) -> tuple[str, bool]:
        """The prompt, and whether it is asked again. Raises `_Refused`."""
        turn, incoming = held.turn, held.turn.incoming
        if turn.state is not State.RUNNING:
            return "", False  # it was asked; whatever has changed since, its answer is delivered
        action, _, argument = incoming.text.partition(":")
        button = incoming.kind is Kind.BUTTON
        if button and await self._buttons.of(incoming, argument) is None:
            raise _Refused(words.NOT_YOURS)
        if over := await self._over(held):
            raise _Refused(over)
        if not button and incoming.command != "retry":
            return _prompt(incoming, files=bool(readable(incoming, held.chat))), False
        last = await self._store.read(last_finished, turn.conversation)
        if action == "more":
            if last is None or last[1] != int(argument):
                raise _Refused("I can go on with the last answer only. Retry asks this one again.")
            return words.GO_ON, False
        asked = await self._store.read(question_of, int(argument)) if button else None
        if asked is not None and (last is None or last[0] != asked):
            return asked, False  # it is not the last any more, and that answer stays
        if last is None:
            raise _Refused("There is nothing to answer again in this conversation yet.")
        return last[0], True

    async def _over(self, held: Held) -> str | None:
        """Why nobody may ask anything more today, here or at all; a person's own key may."""
        settings, ledger = self._settings, self._with.ledger
        bounds = (
            ("Your", settings.person_tokens, settings.person_messages),
            ("This chat's", settings.chat_tokens, settings.chat_messages),
        )
        if not any(bound for _, *both in bounds for bound in both):
            return None
        if (await self._with.accounts.of(held.person)).own:
            return None
        subjects = allowance_subjects(held.turn.incoming)
        used = await self._store.read(allowance, subjects, ledger.today())
        for subject, (whose, tokens, messages) in zip(subjects, bounds, strict=False):
            if tokens and used[subject][0] >= tokens:
                return words.used_up(whose, "tokens", ledger.resets_in())
            if messages and used[subject][1] >= messages:
                return words.used_up(whose, "questions", ledger.resets_in())
        return None

    async def _moved(self, choices: Choices, notes: list[str]) -> Choices:
        """Where the chosen model is gone for good its successor is chosen instead; told once."""
        old = choices.made[MODEL]
        new = self._models.successor(old.value, self._settings)
        if new is None:
            return choices
        if old.scope is not None:
            chosen = Choice(new, old.by)
            await self._store.write(choose, old.scope.key, MODEL, chosen)
            notes.append(words.gone(self._models.name(old.value), self._models.name(new)))
        made = {**choices.made, MODEL: Chosen(new, old.scope, old.by)}
        return replace_fields(choices, made=made)

    async def _too_old(self, held: Held, choices: Choices, prompt: str, *, replace: bool) -> None:
        """The question is kept, so that /retry answers it."""
        await held.outbox.load()
        await self._store.write(
            reply, held.turn, held.owner, prompt=prompt, text="", note=words.TOO_OLD,
            model=choices.model, usage=(0, 0), replace=replace,
        )  # fmt: skip
        await held.deliver("", note=words.TOO_OLD)
        await held.finish(State.FAILED)

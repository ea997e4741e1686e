"""/settings, /system, /persona: how the model answers here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.commands.asking import Asking, literal
from core.commands.reply import Reply
from core.conversation.choices import (
    EFFORT,
    EFFORTS,
    LONGEST,
    PERSONA,
    REASONING,
    SHARE,
    SYSTEM,
    TEMPERATURE,
    Choices,
)
from core.conversation.models import Models
from core.conversation.scope import chat_scope
from core.store.conversations import Choice, choose, unchoose
from core.store.database import Store

__all__ = ["Tuning"]

LONGEST_SYSTEM = 20_000  # characters
LONGEST_ANSWER = 100_000  # tokens
RESET = "reset"


@dataclass(frozen=True, slots=True)
class Setting:
    """`accept` returns the value as it is kept, None for one that is not taken."""

    name: str
    meaning: str
    takes: str
    accept: Callable[[str], str | None]
    shown: Callable[[Choices], str]


def _temperature(value: str) -> str | None:
    try:
        given = float(value.replace(",", "."))
    except ValueError:
        return None
    return f"{abs(given):g}" if 0 <= given <= 2 else None  # -0 is 0


def _length(value: str) -> str | None:
    plain = value.replace(",", "").replace(".", "").replace("_", "")
    if not re.fullmatch(r"\d{1,9}", plain):
        return None
    return str(int(plain)) if 16 <= int(plain) <= LONGEST_ANSWER else None


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda value: value.casefold() if value.casefold() in values else None


SETTINGS = (
    Setting(
        TEMPERATURE, "How freely it answers", "0 to 2", _temperature,
        lambda made: "the model's own" if made.temperature is None else f"{made.temperature:g}",
    ),
    Setting(
        LONGEST, "Longest answer, in tokens", f"16 to {LONGEST_ANSWER:,}", _length,
        lambda made: f"{made.longest:,}" if made.longest else "the model's own",
    ),
    Setting(
        EFFORT, "How much it thinks", ", ".join(EFFORTS), _one_of(*EFFORTS),
        lambda made: made.effort or "the model's own",
    ),
    Setting(
        REASONING, "Offer to show what it thought", "on, off", _one_of("on", "off"),
        lambda made: "on" if made.shows_reasoning else "off",
    ),
)  # fmt: skip


class Tuning:
    def __init__(self, store: Store, models: Models, personas: Mapping[str, str]) -> None:
        self._store = store
        self._models = models
        self._personas = personas

    async def settings(self, asking: Asking) -> Reply:
        name, _, value = asking.argument.partition(" ")
        value = value.strip()
        if not name:
            return self._all(asking)
        if name == SHARE:
            return await self._share(asking, value)
        setting = next((one for one in SETTINGS if one.name == name.casefold()), None)
        if setting is None:
            names = ", ".join(f"`{one.name}`" for one in SETTINGS)
            return Reply(
                f"I know no setting “{literal(name[:40])}”. There are {names}, `share`; each "
                "takes `reset`."
            )
        if not value:
            return Reply(
                f"{setting.meaning}: {setting.shown(asking.choices)}. It takes {setting.takes}, "
                f"or reset: `/settings {setting.name} …`"
            )
        return await self._set(asking, setting, value)

    async def _set(self, asking: Asking, setting: Setting, value: str) -> Reply:
        scope = asking.choices.where[0]
        if value == RESET:
            await self._store.write(unchoose, [scope.key], setting.name)
            return Reply(f"{setting.meaning}: the default again, for {scope.label}.")
        accepted = setting.accept(value)
        if accepted is None:
            return Reply(f"{setting.meaning} takes {setting.takes}, not “{literal(value[:40])}”.")
        await self._store.write(choose, scope.key, setting.name, Choice(accepted, asking.by))
        return Reply(f"{setting.meaning}: {accepted} from now on, for {scope.label}.")

    def _all(self, asking: Asking) -> Reply:
        choices = asking.choices
        lines = [
            f"- {one.meaning}: {one.shown(choices)} (`/settings {one.name}`: {one.takes})"
            for one in SETTINGS
        ]
        if not asking.incoming.place.private:
            share, other = ("on", "off") if choices.shared else ("off", "on")
            lines.append(
                f"- One conversation for everybody here: {share} (`/settings share {other}`)"
            )
        lines += [
            f"- Persona: {literal(choices.persona) or 'none'} (/persona)",
            f"- Instructions: {len(choices.system):,} characters (/system)",
            f"- Model: {literal(self._models.name(choices.model))} (/model)",
            "",
            "`/settings NAME VALUE` changes one, `/settings NAME reset` takes one back.",
        ]
        return Reply("\n".join(lines))

    async def _share(self, asking: Asking, value: str) -> Reply:
        place = asking.incoming.place
        if value not in ("on", "off", RESET):
            return Reply("I know `/settings share on`, `off` and `reset`.")
        if place.private:
            return Reply("This is a private chat: there is nobody to share with.")
        chosen = Choice("on" if value == "on" else "off", asking.by)
        await self._store.write(choose, chat_scope(place), SHARE, chosen)
        if value == "on":
            return Reply("Everybody here shares one conversation from now on.")
        return Reply("Each person has a conversation of their own here from now on.")

    async def system(self, asking: Asking) -> Reply:
        text, scope = asking.argument, asking.choices.where[0]
        if not text:
            return Reply(f"The model follows these instructions:\n\n{asking.choices.system}")
        if text == RESET:
            await self._store.write(unchoose, [scope.key], SYSTEM)
            return Reply("The instructions are the default ones again.")
        if len(text) > LONGEST_SYSTEM:
            return Reply(f"Instructions can have {LONGEST_SYSTEM:,} characters at most.")
        await self._store.write(choose, scope.key, SYSTEM, Choice(text, asking.by))
        return Reply(f"The model follows these instructions from now on, for {scope.label}.")

    async def persona(self, asking: Asking) -> Reply:
        name, scope = asking.argument, asking.choices.where[0]
        if not self._personas:
            return Reply("There are no personas here. /system sets the instructions.")
        if not name:
            now = asking.choices.persona
            lines = [f"- {literal(one)}{' ← here' if one == now else ''}" for one in self._personas]
            return Reply("\n".join(["`/persona NAME` picks one, `reset` none:", "", *lines]))
        if name == RESET:
            await self._store.write(unchoose, [scope.key], PERSONA)
            return Reply(f"No persona any more, for {scope.label}.")
        found = next((one for one in self._personas if one.casefold() == name.casefold()), None)
        if found is None:
            return Reply(f"There is no persona “{literal(name[:40])}”. /persona lists them.")
        await self._store.write(choose, scope.key, PERSONA, Choice(found, asking.by))
        await self._store.write(unchoose, [scope.key], SYSTEM)
        return Reply(f"**{literal(found)}** answers from now on, for {scope.label}.")

"""Platforms that fail at random, and a record of what was sent to whom while it had to wait."""

import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bots.sandbox import discord, telegram
from tests.end_to_end.world import World

__all__ = ["Trouble"]

EACH = 0.05  # the share of calls on which each kind of fault falls
Kind = Literal["429", "500", "502", "drop_after", "drop_before", "delay"]
KINDS: tuple[Kind, ...] = ("429", "500", "502", "drop_after", "drop_before", "delay")
IN_FLIGHT = 0.25  # seconds
PLACE = re.compile(r"/channels/(\d+)/")


@dataclass(slots=True)
class Trouble:
    """Call `begin` to have the stand-ins of `world` fail.

    `waits` are the shortest and the longest `retry_after`, `delay` that of slow calls, in seconds.
    `chats`: only calls to these fail; None: every call, receiving too. `each`: the share of calls
    on which each of `kinds` falls. `in_flight`: seconds in which a call may be under way when
    "wait" is said.
    """

    dice: random.Random
    waits: tuple[float, float]
    delay: float
    chats: Collection[str] | None = None
    kinds: Sequence[Kind] = KINDS
    each: float = EACH
    in_flight: float = IN_FLIGHT
    ordered: int = 0
    _sent: list[tuple[str, float]] = field(default_factory=list)
    _told: list[tuple[str, float, float]] = field(default_factory=list)

    def begin(self, world: World) -> None:
        world.telegram.faults = self._telegram
        world.discord.faults = self._discord

    @staticmethod
    def end(world: World) -> None:
        world.telegram.faults = world.discord.faults = None

    def told(self) -> set[str]:
        """The chats that were told to wait."""
        return {chat for chat, _, _ in self._told}

    def early(self) -> list[str]:
        """What was sent to a chat although it had been told to wait."""
        return [
            f"{chat}: {sent - told:.2f} s after it was told to wait {seconds:.2f} s"
            for chat, told, seconds in self._told
            for to, sent in self._sent
            if to == chat and told + self.in_flight < sent < told + seconds
        ]

    def _telegram(self, call: telegram.Call) -> telegram.Fault | None:
        given = call.params.get("chat_id")
        chat = "" if given is None else str(given)
        picked = self._pick(chat, call.time, whole=True)
        return None if picked is None else telegram.Fault(*picked)  # type: ignore[arg-type]

    def _discord(self, call: discord.Call) -> discord.Fault | None:
        found = PLACE.match(call.path)
        chat = found[1] if found and call.method != "GET" else ""
        picked = self._pick(chat, call.time, whole=False)
        return None if picked is None else discord.Fault(*picked)  # type: ignore[arg-type]

    def _pick(self, chat: str, now: float, *, whole: bool) -> tuple[str, float] | None:
        if chat:
            self._sent.append((chat, now))
        if self.chats is not None and chat not in self.chats:
            return None
        drawn = self.dice.random()
        if drawn >= self.each * len(self.kinds):
            return None
        self.ordered += 1
        kind = self.kinds[int(drawn / self.each)]
        seconds = self.delay if kind == "delay" else 0.0
        if kind == "429":
            seconds = self.dice.uniform(*self.waits)
            seconds = float(max(1, round(seconds))) if whole else round(seconds, 3)
            if chat:
                self._told.append((chat, now, seconds))
        return kind, seconds

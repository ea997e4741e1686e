"""The page's switches: they break and repair the model service and the platforms."""

from collections.abc import Awaitable, Callable
from typing import Any

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.answer_shapes import AnswerShape
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES
from bots.sandbox.model.refusals import FAULTS, FaultHook
from bots.sandbox.model_controls import REASONING_FORMATS, REJECTABLE_FIELDS, model_commands
from bots.sandbox.stand_in import FaultKind, Json
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.web import protocol
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.platform_faults import PlatformFaults


class ServiceActions:
    """`model` is None when the real API answers; then only the platforms can be broken.

    `forget_day` makes the bot forget what it knows of the quotas of today, and may raise `ValueError`.
    """

    def __init__(
        self,
        telegram: TelegramStandIn,
        discord: DiscordStandIn,
        model: ModelStandIn | None,
        log: EventLog,
        forget_day: Callable[[], Awaitable[None]],
    ) -> None:
        self._model = model
        self._log = log
        self._original_models = {} if model is None else dict(model.models)
        self._original_speed = 0.0 if model is None else model.tokens_per_second
        self.faults = {name: PlatformFaults(self.announce) for name in ("telegram", "discord")}
        telegram.fault_hook = self.faults["telegram"]
        discord.fault_hook = self.faults["discord"]
        self._drop = {"telegram": telegram.drop_connections, "discord": discord.drop_connections}
        if model is not None:
            self._drop["model"] = model.drop_connections
        self._commands: dict[str, Callable[[str], Awaitable[str | None]]] = {
            command.name: command.run for command in (model_commands(model, forget_day) if model is not None else ())
        }
        self._announced: Json = {}

    async def perform(self, action: protocol.Action) -> str | None:
        """Raises `ValueError` for what cannot be done."""
        match action:
            case protocol.ServiceCommand():
                return await self.run_command(action)
            case protocol.ServiceFail():
                self.fail_platform(action)
            case protocol.ServiceDrop():
                return self.drop_connections(action)
            case protocol.ServiceRepair():
                return await self.repair()
        return None

    async def run_command(self, action: protocol.ServiceCommand) -> str | None:
        run = self._commands.get(action.command)
        if run is None:
            raise ValueError("There is no such switch.")
        result = await run(action.argument)
        self.announce()
        return result

    def fail_platform(self, action: protocol.ServiceFail) -> None:
        kind = FaultKind(action.kind) if action.kind else None
        self.faults[action.platform].inject(kind, action.seconds, action.times)

    def drop_connections(self, action: protocol.ServiceDrop) -> str:
        drop = self._drop.get(action.platform)
        if drop is None:
            raise ValueError("This is the real service.")
        count = drop()
        if not count:
            return "No connection was open."
        return f"{count} open connection{'s' if count > 1 else ''} dropped. The bot connects again."

    async def repair(self) -> str | None:
        for faults in self.faults.values():
            faults.inject(None, 0.0, 0)
        repair_model = self._commands.get(":repair")
        result = (
            "The platforms work again as they did at the start." if repair_model is None else await repair_model("")
        )
        self.announce()
        return result

    def announce(self) -> None:
        """Announce what is broken, if that has changed."""
        state: Json = {name: self._platform_json(faults) for name, faults in self.faults.items()}
        state["model"] = None if self._model is None else self._model_json(self._model)
        if state != self._announced:
            self._announced = state
            self._log.add("service", "service", **state)

    def _platform_json(self, faults: PlatformFaults) -> Json:
        return {"fault": faults.kind, "seconds": faults.seconds}

    def _model_json(self, model: ModelStandIn) -> dict[str, Any]:
        hook, strictness = model.fault_hook, model.strictness
        return {
            "fault": hook.name if isinstance(hook, FaultHook) else None,
            "faults": list(FAULTS),
            "shape": model.answer_shape,
            "shapes": list(AnswerShape),
            "reasoning": next((name for name, form in REASONING_FORMATS.items() if form is model.reasoning_format), ""),
            "reasoning_formats": list(REASONING_FORMATS),
            "tokens_per_second": model.tokens_per_second,
            "original_speed": self._original_speed,
            "exhausted": sorted(model.quotas),
            "removed": [name for name in self._original_models if name not in model.models],
            "shrunk": [
                {"id": one.id, "context_window": one.context_window}
                for one in model.models.values()
                if one != self._original_models.get(one.id, one)
            ],
            "overflow": next(name for name, one in OVERFLOW_RESPONSES.items() if one is model.overflow_response),
            "overflows": list(OVERFLOW_RESPONSES),
            "rejects_system_role": strictness.rejects_system_role,
            "requires_alternation": strictness.requires_alternation,
            "rejected_fields": sorted(strictness.rejected_fields),
            "rejectable_fields": list(REJECTABLE_FIELDS),
            "models": [{"id": one.id, "context_window": one.context_window} for one in model.models.values()],
        }

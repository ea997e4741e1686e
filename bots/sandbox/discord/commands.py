"""The application's commands, as it registered them: everywhere, or in one guild."""

from collections import deque
from typing import Any

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.errors import ApiError, missing_access, no_such_route, not_found
from bots.sandbox.discord.state import CreatedJson, Json, next_snowflake
from bots.sandbox.discord.validation import check_commands

__all__ = ["CommandRegistry"]

MAX_CREATES_PER_DAY = 200  # new names a day, everywhere and in each guild
DAY_SECONDS = 86_400.0  # seconds


class CommandRegistry:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._create_times: dict[str, deque[float]] = {}

    def route(self, method: str, segments: list[str], body: Any) -> Any:
        """`path` follows the application's id. Raises `Refusal`."""
        guild_id = ""
        if segments[0] == "guilds" and len(segments) > 2:
            guild_id, segments = segments[1], segments[2:]
            if all(str(known.id) != guild_id or not known.has_bot for known in self._backend.guilds):
                raise missing_access()
        match method, segments:
            case "PUT", ["commands"]:
                return self._replace(guild_id, body)
            case "GET", ["commands"]:
                return self._commands(guild_id)
            case "POST", ["commands"]:
                return self._add(guild_id, body)
            case "GET", ["commands", id_]:
                return self._find(guild_id, id_)
            case "PATCH", ["commands", id_]:
                return self._edit(guild_id, id_, body)
            case "DELETE", ["commands", id_]:
                self._store(
                    guild_id,
                    [c for c in self._commands(guild_id) if c != self._find(guild_id, id_)],
                )
                return None
        raise no_such_route()

    def _commands(self, guild_id: str) -> list[Json]:
        scene = self._backend
        return scene.guild_commands.get(guild_id, []) if guild_id else scene.commands

    def _store(self, guild_id: str, commands: list[Json]) -> None:
        if guild_id:
            self._backend.guild_commands[guild_id] = commands
        else:
            self._backend.commands = commands

    def _find(self, guild_id: str, command_id: str) -> Json:
        command = next((one for one in self._commands(guild_id) if one["id"] == command_id), None)
        if command is None:
            raise not_found("command")
        return command

    def _replace(self, guild_id: str, body: Any) -> list[Json]:
        check_commands(body)
        existing = {(one.get("type", 1), one["name"]): one for one in self._commands(guild_id)}
        new = [one for one in body if (one.get("type", 1), one["name"]) not in existing]
        self._count_creates(guild_id, len(new))
        commands = [self._command_json(guild_id, one, existing.get((one.get("type", 1), one["name"]))) for one in body]
        self._store(guild_id, commands)
        return commands

    def _add(self, guild_id: str, body: Json) -> Json:
        """A name that is known is replaced (200); a new one is created (201)."""
        same = (body.get("type", 1), body.get("name"))
        existing = next((c for c in self._commands(guild_id) if (c["type"], c["name"]) == same), None)
        others = [one for one in self._commands(guild_id) if one is not existing]
        check_commands([*others, body])
        if existing is None:
            self._count_creates(guild_id, 1)
        command = self._command_json(guild_id, body, existing)
        self._store(guild_id, [*others, command])
        return command if existing is not None else CreatedJson(command)

    def _edit(self, guild_id: str, command_id: str, body: Json) -> Json:
        existing = self._find(guild_id, command_id)
        command = {
            **existing,
            **body,
            "id": command_id,
            "type": existing["type"],
            "version": str(next_snowflake()),
        }
        check_commands([command if one is existing else one for one in self._commands(guild_id)])
        self._store(guild_id, [command if one is existing else one for one in self._commands(guild_id)])
        return command

    def _count_creates(self, guild_id: str, count: int) -> None:
        create_times, now = self._create_times.setdefault(guild_id, deque()), self._backend.clock()
        while create_times and now - create_times[0] >= DAY_SECONDS:
            create_times.popleft()
        if len(create_times) + count > MAX_CREATES_PER_DAY:
            said = f"Max number of daily application command creates has been reached ({MAX_CREATES_PER_DAY})"
            raise ApiError(
                429,
                30034,
                said,
                retry_after=DAY_SECONDS - (now - create_times[0]) if create_times else DAY_SECONDS,
            )
        create_times.extend([now] * count)

    def _command_json(self, guild_id: str, body: Json, existing: Json | None) -> Json:
        place = {"guild_id": guild_id} if guild_id else {}
        return {
            "id": str(next_snowflake()) if existing is None else existing["id"],
            "application_id": str(self._backend.application_id),
            "version": str(next_snowflake()),
            "default_member_permissions": None,
            "dm_permission": True,
            "nsfw": False,
            "type": 1,
            "options": [],
            "contexts": None,
            "description": "",
            **body,
            **place,
            "integration_types": body.get("integration_types") or [0],
        }

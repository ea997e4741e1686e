"""Registration of the application's commands, globally or for one guild."""

from collections import deque
from typing import Any

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.enums import CommandType
from bots.sandbox.discord.errors import ApiError, missing_access, no_such_route, not_found
from bots.sandbox.discord.state import Call, CreatedJson, next_snowflake
from bots.sandbox.discord.validation import check_commands, command_type
from bots.sandbox.stand_in import Json

MAX_CREATES_PER_DAY = 200
"""New commands, globally and for each guild."""
DAY_SECONDS = 86_400.0


class CommandRegistry:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._create_times: dict[str, deque[float]] = {}

    def route(self, call: Call, path: str) -> Any:
        """`path` follows the application ID."""
        guild_id, segments, body = "", path.split("/"), call.body
        if segments[0] == "guilds" and len(segments) > 2:
            guild_id, segments = segments[1], segments[2:]
            if not any(str(guild.id) == guild_id and guild.has_bot for guild in self._backend.guilds):
                raise missing_access()
        match call.method, segments:
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
                removed = self._find(guild_id, id_)
                self._store(guild_id, [command for command in self._commands(guild_id) if command is not removed])
                return None
        raise no_such_route()

    def _commands(self, guild_id: str) -> list[Json]:
        return self._backend.guild_commands.get(guild_id, []) if guild_id else self._backend.commands

    def _store(self, guild_id: str, commands: list[Json]) -> None:
        if guild_id:
            self._backend.guild_commands[guild_id] = commands
        else:
            self._backend.commands = commands

    def _find(self, guild_id: str, command_id: str) -> Json:
        command = next((command for command in self._commands(guild_id) if command["id"] == command_id), None)
        if command is None:
            raise not_found("command")
        return command

    def _replace(self, guild_id: str, body: Any) -> list[Json]:
        check_commands(body)
        existing = {_key(command): command for command in self._commands(guild_id)}
        self._count_creates(guild_id, sum(_key(definition) not in existing for definition in body))
        commands = [self._command_json(guild_id, definition, existing.get(_key(definition))) for definition in body]
        self._store(guild_id, commands)
        return commands

    def _add(self, guild_id: str, body: Json) -> Json:
        """Replace the command with this name (200), or create it (201)."""
        commands = self._commands(guild_id)
        existing = next((command for command in commands if _key(command) == _key(body)), None)
        others = [command for command in commands if command is not existing]
        check_commands([*others, body])
        if existing is None:
            self._count_creates(guild_id, 1)
        command = self._command_json(guild_id, body, existing)
        self._store(guild_id, [*others, command])
        return command if existing is not None else CreatedJson(command)

    def _edit(self, guild_id: str, command_id: str, body: Json) -> Json:
        existing = self._find(guild_id, command_id)
        edited = {
            **existing,
            **body,
            "id": command_id,
            "type": existing["type"],
            "version": str(next_snowflake()),
        }
        commands = [edited if command is existing else command for command in self._commands(guild_id)]
        check_commands(commands)
        self._store(guild_id, commands)
        return edited

    def _count_creates(self, guild_id: str, count: int) -> None:
        create_times, now = self._create_times.setdefault(guild_id, deque()), self._backend.clock.monotonic()
        while create_times and now - create_times[0] >= DAY_SECONDS:
            create_times.popleft()
        if len(create_times) + count > MAX_CREATES_PER_DAY:
            text = f"Max number of daily application command creates has been reached ({MAX_CREATES_PER_DAY})"
            first_create_at = create_times[0] if create_times else now
            raise ApiError(429, 30034, text, retry_after=DAY_SECONDS - (now - first_create_at))
        create_times.extend([now] * count)

    def _command_json(self, guild_id: str, body: Json, existing: Json | None) -> Json:
        return {
            "id": str(next_snowflake()) if existing is None else existing["id"],
            "application_id": str(self._backend.application_id),
            "version": str(next_snowflake()),
            "default_member_permissions": None,
            "dm_permission": True,
            "nsfw": False,
            "type": CommandType.CHAT_INPUT,
            "options": [],
            "contexts": None,
            "description": "",
            **body,
            **({"guild_id": guild_id} if guild_id else {}),
            "integration_types": body.get("integration_types") or [0],
        }


def _key(command: Json) -> tuple[int, object]:
    """Commands of one type have different names."""
    return command_type(command), command.get("name")

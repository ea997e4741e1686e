"""Registration of the application's commands."""

from collections import deque

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.enums import CommandType
from bots.sandbox.discord.errors import ApiError
from bots.sandbox.discord.state import Call, next_snowflake
from bots.sandbox.discord.validation import check_commands, command_type
from bots.sandbox.stand_in import Json

MAX_CREATES_PER_DAY = 200
DAY_SECONDS = 86_400.0


class CommandRegistry:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._create_times: deque[float] = deque()

    def replace(self, call: Call) -> list[Json]:
        check_commands(call.body)
        existing = {_key(command): command for command in self._backend.commands}
        self._count_creates(sum(_key(definition) not in existing for definition in call.body))
        commands = [self._command_json(definition, existing.get(_key(definition))) for definition in call.body]
        self._backend.commands = commands
        return commands

    def _count_creates(self, count: int) -> None:
        create_times, now = self._create_times, self._backend.clock.monotonic()
        while create_times and now - create_times[0] >= DAY_SECONDS:
            create_times.popleft()
        if len(create_times) + count > MAX_CREATES_PER_DAY:
            text = f"Max number of daily application command creates has been reached ({MAX_CREATES_PER_DAY})"
            first_create_at = create_times[0] if create_times else now
            raise ApiError(429, 30034, text, retry_after=DAY_SECONDS - (now - first_create_at))
        create_times.extend([now] * count)

    def _command_json(self, body: Json, existing: Json | None) -> Json:
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
            "integration_types": body.get("integration_types") or [0],
        }


def _key(command: Json) -> tuple[int, object]:
    """Commands of one type have different names."""
    return command_type(command), command.get("name")

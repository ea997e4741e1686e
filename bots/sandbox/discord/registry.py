"""The application's commands, as it registered them: everywhere, or in one guild."""

from collections import deque
from typing import Any

from bots.sandbox.discord.rules import Refusal, check_commands, unknown
from bots.sandbox.discord.scene import Scene
from bots.sandbox.discord.world import Created, Json, snowflake

__all__ = ["Registry"]

MOST_CREATED = 200  # new names a day, everywhere and in each guild
DAY = 86_400.0  # seconds


class Registry:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._created: dict[str, deque[float]] = {}

    def answer(self, method: str, path: list[str], body: Any) -> Any:
        """`path` follows the application's id. Raises `Refusal`."""
        guild = ""
        if path[0] == "guilds" and len(path) > 2:
            guild, path = path[1], path[2:]
            if all(str(known.id) != guild or not known.joined for known in self._scene.guilds):
                raise Refusal(403, 50001, "Missing Access")
        match method, path:
            case "PUT", ["commands"]:
                return self._replace(guild, body)
            case "GET", ["commands"]:
                return self._of(guild)
            case "POST", ["commands"]:
                return self._add(guild, body)
            case "GET", ["commands", id_]:
                return self._find(guild, id_)
            case "PATCH", ["commands", id_]:
                return self._change(guild, id_, body)
            case "DELETE", ["commands", id_]:
                self._keep(guild, [c for c in self._of(guild) if c != self._find(guild, id_)])
                return None
        raise Refusal(404, 0, "404: Not Found")

    def _of(self, guild: str) -> list[Json]:
        scene = self._scene
        return scene.guild_commands.get(guild, []) if guild else scene.commands

    def _keep(self, guild: str, commands: list[Json]) -> None:
        if guild:
            self._scene.guild_commands[guild] = commands
        else:
            self._scene.commands = commands

    def _find(self, guild: str, id_: str) -> Json:
        found = next((one for one in self._of(guild) if one["id"] == id_), None)
        if found is None:
            raise unknown("command")
        return found

    def _replace(self, guild: str, body: Any) -> list[Json]:
        check_commands(body)
        known = {(one.get("type", 1), one["name"]): one for one in self._of(guild)}
        new = [one for one in body if (one.get("type", 1), one["name"]) not in known]
        self._count(guild, len(new))
        made = [
            self._made(guild, one, known.get((one.get("type", 1), one["name"]))) for one in body
        ]
        self._keep(guild, made)
        return made

    def _add(self, guild: str, body: Json) -> Json:
        """A name that is known is replaced (200); a new one is created (201)."""
        same = (body.get("type", 1), body.get("name"))
        known = next((c for c in self._of(guild) if (c["type"], c["name"]) == same), None)
        others = [one for one in self._of(guild) if one is not known]
        check_commands([*others, body])
        if known is None:
            self._count(guild, 1)
        made = self._made(guild, body, known)
        self._keep(guild, [*others, made])
        return made if known is not None else Created(made)

    def _change(self, guild: str, id_: str, body: Json) -> Json:
        known = self._find(guild, id_)
        changed = {**known, **body, "id": id_, "type": known["type"], "version": str(snowflake())}
        check_commands([changed if one is known else one for one in self._of(guild)])
        self._keep(guild, [changed if one is known else one for one in self._of(guild)])
        return changed

    def _count(self, guild: str, new: int) -> None:
        at, now = self._created.setdefault(guild, deque()), self._scene.clock()
        while at and now - at[0] >= DAY:
            at.popleft()
        if len(at) + new > MOST_CREATED:
            said = (
                f"Max number of daily application command creates has been reached ({MOST_CREATED})"
            )
            raise Refusal(429, 30034, said, retry_after=DAY - (now - at[0]) if at else DAY)
        at.extend([now] * new)

    def _made(self, guild: str, body: Json, known: Json | None) -> Json:
        place = {"guild_id": guild} if guild else {}
        return {
            "id": str(snowflake()) if known is None else known["id"],
            "application_id": str(self._scene.application_id),
            "version": str(snowflake()),
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

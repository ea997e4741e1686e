"""The values that adapters store by name."""

from pathlib import Path

from bots.sandbox.model import ModelStandIn
from tests.core.turns.fake_adapter import running_engine


async def test_state_is_kept_by_name(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        services = chat.services
        await services.save_state("discord.commands", "abc")
        assert await services.update_state("telegram.menu", lambda value: value + "d") == ""
        assert await services.update_state("telegram.menu", lambda value: value + "e") == "d"
        states = [await services.load_state(key) for key in ("discord.commands", "telegram.menu", "other")]
    assert states == ["abc", "de", None]

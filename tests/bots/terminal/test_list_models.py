"""`parley models` as an operator reads it."""

import io
from pathlib import Path

from rich.console import Console

from bots.sandbox.model import ModelStandIn
from bots.terminal.list_models import list_models
from core.api.catalogue import Model
from core.settings import Settings


async def listing(folder: Path, model: ModelStandIn, search: str = "") -> str:
    given = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": f"sqlite:///{folder / 'parley.sqlite3'}",
        "quotas": {"microsoft/phi-4": 1234, "llama-3.3": 5},
    }
    out, told = io.StringIO(), io.StringIO()
    console = Console(file=out, width=160)
    await list_models(Settings(**given), search, console, Console(file=told))  # type: ignore[arg-type]
    return out.getvalue() + told.getvalue()


async def test_models_are_listed_with_capabilities(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    model.add_model(Model("Qwen/Qwen2.5-VL-32B-Instruct", 32_000, has_vision=True))
    try:
        shown = await listing(tmp_path, model)
        lines = {line.split()[1]: line.split()[2:] for line in shown.splitlines() if "│" in line}
        assert len(lines) == 32
        assert [w for w in lines["microsoft/phi-4"] if w != "│"] == ["16k", "1,234", "1,234"]
        assert lines["deepseek-ai/DeepSeek-R1"].count("yes") == 1
        assert lines["Qwen/Qwen2.5-VL-32B-Instruct"].count("yes") == 1
        embeds = " ".join(lines["mixedbread-ai/mxbai-embed-large-v1"])
        assert "512" in embeds
        assert "500,000" in embeds
        assert "embeddings only" in embeds
        assert "Quotas begin anew in" in shown
        llama = "meta-llama/Llama-3.3-70B-Instruct"
        assert f"PARLEY_QUOTAS names llama-3.3, which is not among the models known; is {llama} meant?" in shown
        found = await listing(tmp_path, model, "qwen coder")
        assert "Qwen2.5-Coder-32B-Instruct" in found
        assert "phi-4" not in found
    finally:
        await model.close()

"""`parley models` as an operator reads it."""

import io
import re
from pathlib import Path

from rich.console import Console

from bots.sandbox.model import ModelStandIn
from bots.terminal.list_models import list_models
from core.api.catalogue import Model
from core.conversation.failover import FAILURE_THRESHOLD
from core.conversation.learned_facts import LearnedFacts
from core.conversation.ledger import key_id_of
from core.conversation.model_pauses import ModelPauses
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from tests.sqlite import sqlite_url


async def run_list_models(
    folder: Path,
    model: ModelStandIn,
    search: str = "",
    *,
    forgets_facts: bool = False,
    ends_pauses: bool = False,
    width: int = 160,
) -> str:
    """What the command prints, warnings last."""
    settings = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": sqlite_url(folder),
        "quotas": {"microsoft/phi-4": 1234, "llama-3.3": 5},
    }
    stdout, stderr = io.StringIO(), io.StringIO()
    console = Console(file=stdout, width=width)
    await list_models(
        Settings(**settings),  # type: ignore[arg-type]
        search,
        console,
        Console(file=stderr),
        forgets_facts=forgets_facts,
        ends_pauses=ends_pauses,
    )
    return stdout.getvalue() + stderr.getvalue()


async def test_learned_facts_are_listed_and_forgotten(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    try:
        await run_list_models(tmp_path, model)  # creates the database
        store = Store(sqlite_url(tmp_path))
        await store.open()
        facts = LearnedFacts(store, model.base_url)
        await facts.learn_rejected_parts("microsoft/phi-4", ["system role"])
        await facts.learn_context_limit("google/gemma-2-9b-it", 4096, is_counted=False)
        await store.close()
        output = await run_list_models(tmp_path, model)
        assert re.search(r"microsoft/phi-4 .* rejected part .* system role .* 2[34] h", output)
        assert re.search(r"google/gemma-2-9b-it .* context limit .* 4096", output)
        assert "gemma" not in await run_list_models(tmp_path, model, "phi")
        forgotten = await run_list_models(tmp_path, model, "gemma", forgets_facts=True)
        assert "Forgot 1 learned fact." in forgotten
        output = await run_list_models(tmp_path, model, forgets_facts=True)
        assert "Forgot 1 learned fact." in output
        assert "system role" not in output
        assert "rejected part" not in await run_list_models(tmp_path, model)
    finally:
        await model.close()


async def test_pauses_are_listed_and_ended(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    try:
        await run_list_models(tmp_path, model)  # creates the database
        store = Store(sqlite_url(tmp_path))
        await store.open()
        pauses = ModelPauses(store, model.base_url)
        error = ModelError("HTTP 503: overloaded", ModelFailure.UNAVAILABLE, retry_after=600)
        for key in (key_id_of(model.api_key), "somebody's"):
            for _ in range(FAILURE_THRESHOLD):
                await pauses.record_failure(key, "microsoft/phi-4", error)
        await store.close()
        output = await run_list_models(tmp_path, model)
        pattern = r"microsoft/phi-4 +│ {} +│ HTTP 503: overloaded │ \d\d:\d\d:\d\d │ (10|9) min"
        assert re.search(pattern.format("everyone"), output)
        assert re.search(pattern.format("one personal key"), output)
        assert "Ended 0 pauses." in await run_list_models(tmp_path, model, "gemma", ends_pauses=True)
        output = await run_list_models(tmp_path, model, "phi", ends_pauses=True)
        assert "Ended 2 pauses." in output
        assert "overloaded" not in output
    finally:
        await model.close()


async def test_models_are_listed_with_capabilities(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    model.add_model(Model("Qwen/Qwen2.5-VL-32B-Instruct", 32_000, has_vision=True))
    try:
        output = await run_list_models(tmp_path, model)
        rows = {line.split()[1]: line.split()[2:] for line in output.splitlines() if "│" in line}
        assert len(rows) == 32
        assert [cell for cell in rows["microsoft/phi-4"] if cell != "│"] == ["16k", "1,234", "1,234"]
        assert rows["deepseek-ai/DeepSeek-R1"].count("yes") == 1
        assert rows["Qwen/Qwen2.5-VL-32B-Instruct"].count("yes") == 1
        embedding_row = " ".join(rows["mixedbread-ai/mxbai-embed-large-v1"])
        assert "512" in embedding_row
        assert "500,000" in embedding_row
        assert "embeddings only" in embedding_row
        assert "Quotas reset in" in output
        llama = "meta-llama/Llama-3.3-70B-Instruct"
        assert f"PARLEY_QUOTAS: the model llama-3.3 is not offered. Did you mean {llama}?" in output
        matches = await run_list_models(tmp_path, model, "qwen coder")
        assert "Qwen2.5-Coder-32B-Instruct" in matches
        assert "phi-4" not in matches
    finally:
        await model.close()


async def test_narrow_terminal_shows_whole_names_in_fewer_columns(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    try:
        rows = (await run_list_models(tmp_path, model, width=90)).splitlines()
        names = [row.split()[1] for row in rows if row.startswith("│")]
        assert sorted(names) == sorted(model.models)
        assert not any("…" in row or len(row) > 90 for row in rows if row.startswith("│"))
        assert [cell.strip() for cell in rows[1].split("┃")[1:-1]] == ["model", "context", "remaining"]
        assert "A wider terminal also shows: daily quota, pictures, reasoning, use" in " ".join("\n".join(rows).split())
        narrow = await run_list_models(tmp_path, model, "nemotron", width=40)
        cells = [row.split("│")[1].strip() for row in narrow.splitlines() if row.startswith("│")]
        assert "".join(cells) == "neuralmagic/Llama-3.1-Nemotron-70B-Instruct-HF-FP8-dynamic"
    finally:
        await model.close()

"""`parley top` shows what is stored of a bot's work."""

from pathlib import Path

import pytest
from rich.console import Console

from bots.maintenance.top import show_top
from core.clock import SystemClock
from core.conversation.learned_facts import service_name
from core.conversation.ledger import key_id_of
from core.errors import ConfigurationError, ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from core.store.model_pauses import save_pause
from tests.core.store import sample_database
from tests.sqlite import sqlite_url


async def test_view_has_turns_waits_quotas_and_pauses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(sqlite_url(tmp_path))
    settings = Settings()
    await sample_database.fill(store)
    failure = ModelError("The service is down", ModelFailure.UNAVAILABLE)
    await store.write(save_pause, service_name(settings.base_url), key_id_of(""), "some/model", failure, 600)
    await show_top(store, settings, Console(width=160), interval=1, once=True, clock=SystemClock())
    await store.close()
    shown = capsys.readouterr().out
    assert "queued" in shown
    assert "discord" in shown
    assert "some/model" in shown
    assert "overloaded or down" in shown
    assert "before /new" not in shown, "no texts"


async def test_missing_database_is_not_created(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'missing.sqlite3'}")
    with pytest.raises(ConfigurationError, match="no database"):
        await show_top(store, Settings(), Console(), interval=1, once=True, clock=SystemClock())
    assert not (tmp_path / "missing.sqlite3").exists()

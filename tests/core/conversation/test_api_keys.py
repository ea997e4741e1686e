"""Personal API keys, as several processes see them."""

from pathlib import Path

from pydantic import SecretStr

from core.api.client import ModelApi
from core.conversation.api_keys import ApiKeys
from core.settings import Settings
from core.store.database import Store
from tests.sqlite import sqlite_url


async def test_key_change_reaches_all_processes(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    api = ModelApi("http://127.0.0.1:1", "bot's key")
    try:
        settings = Settings(api_key=SecretStr("bot's-key"), secret_key=SecretStr("the passphrase"))
        one, other = (ApiKeys(store, api, settings) for _ in range(2))
        assert not (await other.for_person("ann")).is_personal
        await one.save("ann", "Ann's key")
        assert (await other.for_person("ann")).is_personal
        await one.save("ann", "Ann's next key")
        assert (await other.for_person("ann")).key_id == (await one.for_person("ann")).key_id
        await one.delete("ann")
        assert not (await other.for_person("ann")).is_personal
    finally:
        await api.close()
        await store.close()

"""Own keys, as several processes see them."""

from pathlib import Path

from core.api.client import ModelApi
from core.conversation.accounts import Accounts, Vault
from core.store.database import Store


async def test_a_key_given_or_taken_back_in_one_process_is_so_in_all(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    api = ModelApi("http://127.0.0.1:1", "the bot's")
    try:
        one, other = (Accounts(store, api, "the bot's", Vault("v")) for _ in range(2))
        assert not (await other.of("ann")).own
        await one.keep("ann", "a key of her own")
        assert (await other.of("ann")).own
        await one.keep("ann", "another key")
        assert (await other.of("ann")).name == (await one.of("ann")).name
        await one.forget("ann")
        assert not (await other.of("ann")).own
    finally:
        await api.close()
        await store.close()

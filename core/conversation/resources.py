"""What answers are made with, put together once for a process."""

from dataclasses import dataclass

from core.api.client import ModelApi
from core.conversation.accounts import Accounts, Vault
from core.conversation.composer import Composer
from core.conversation.failover import Breaker
from core.conversation.ledger import Ledger
from core.conversation.measure import Measures
from core.conversation.models import Models
from core.conversation.summaries import Summaries
from core.settings import Settings
from core.store.database import Store

__all__ = ["Resources", "resources"]


@dataclass(frozen=True, slots=True)
class Resources:
    settings: Settings
    models: Models
    accounts: Accounts
    ledger: Ledger
    breaker: Breaker
    composer: Composer
    summaries: Summaries


def resources(settings: Settings, store: Store, api: ModelApi, models: Models) -> Resources:
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    secret = settings.secret_key
    vault = Vault(secret.get_secret_value()) if secret else None
    accounts = Accounts(store, api, key, vault)
    ledger = Ledger(
        store, models, quotas=settings.quotas, reset_hour=settings.quota_reset_hour,
        house=accounts.house.name,
    )  # fmt: skip
    summaries = Summaries(store, models, ledger, api, accounts.house.name)
    composer = Composer(store, models, Measures(store))
    return Resources(settings, models, accounts, ledger, Breaker(), composer, summaries)

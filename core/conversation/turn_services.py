"""What answers are made with, put together once for a process."""

from dataclasses import dataclass

from core.api.client import ModelApi
from core.conversation.api_keys import ApiKeys, Vault
from core.conversation.composer import Composer
from core.conversation.failover import CircuitBreaker
from core.conversation.ledger import Ledger
from core.conversation.model_registry import ModelRegistry
from core.conversation.summariser import Summariser
from core.conversation.token_estimator import TokenEstimators
from core.settings import Settings
from core.store.database import Store

__all__ = ["TurnServices", "build_turn_services"]


@dataclass(frozen=True, slots=True)
class TurnServices:
    settings: Settings
    registry: ModelRegistry
    api_keys: ApiKeys
    ledger: Ledger
    breaker: CircuitBreaker
    composer: Composer
    summariser: Summariser


def build_turn_services(settings: Settings, store: Store, api: ModelApi, registry: ModelRegistry) -> TurnServices:
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    secret = settings.secret_key
    vault = Vault(secret.get_secret_value()) if secret else None
    api_keys = ApiKeys(store, api, key, vault)
    ledger = Ledger(
        store,
        registry,
        quotas=settings.quotas,
        reset_hour=settings.quota_reset_hour,
        bot_key_id=api_keys.bot_key.key_id,
    )
    summariser = Summariser(store, registry, ledger, api, api_keys.bot_key.key_id)
    composer = Composer(store, registry, TokenEstimators(store))
    return TurnServices(settings, registry, api_keys, ledger, CircuitBreaker(), composer, summariser)

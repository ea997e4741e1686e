"""The services that turns share, created once per process."""

from dataclasses import dataclass

from core.api.client import ModelApi
from core.clock import Clock, SystemClock
from core.conversation.api_keys import ApiKeys, Vault
from core.conversation.composer import Composer
from core.conversation.failover import CircuitBreaker
from core.conversation.ledger import Ledger
from core.conversation.model_registry import ModelRegistry
from core.conversation.summariser import Summariser
from core.conversation.token_estimator import TokenEstimators
from core.settings import Settings
from core.store.database import Store
from core.timings import Timings

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


def build_turn_services(
    settings: Settings,
    store: Store,
    api: ModelApi,
    registry: ModelRegistry,
    *,
    clock: Clock = SystemClock(),
    timings: Timings = Timings(),
) -> TurnServices:
    bot_key = settings.api_key.get_secret_value() if settings.api_key else ""
    vault = Vault(settings.secret_key.get_secret_value()) if settings.secret_key else None
    api_keys = ApiKeys(store, api, bot_key, vault)
    ledger = Ledger(
        store,
        registry,
        quotas=settings.quotas,
        reset_hour=settings.quota_reset_hour,
        bot_key_id=api_keys.bot_key.key_id,
        clock=clock,
        timings=timings,
    )
    summariser = Summariser(store, registry, ledger, api, api_keys.bot_key.key_id)
    breaker = CircuitBreaker(clock=clock, timings=timings)
    composer = Composer(store, registry, TokenEstimators(store))
    return TurnServices(settings, registry, api_keys, ledger, breaker, composer, summariser)

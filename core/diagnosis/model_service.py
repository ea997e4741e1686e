"""Checks the model service: its address, the API key, the models in the settings, quotas and pauses."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from core.api.advice import ADVICE
from core.api.catalogue import Model
from core.api.client import ModelApi
from core.conversation.ledger import Ledger, QuotaStatus, key_id_of
from core.conversation.model_pauses import ModelPauses
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.diagnosis.finding import Finding, Severity, error, ok, unavailable, warning
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from core.texts.formatting import format_duration
from core.timings import Timings

SETUP_FAILURES = frozenset(
    {
        ModelFailure.AUTHENTICATION,
        ModelFailure.CREDIT,
        ModelFailure.PAYMENT,
        ModelFailure.REGION,
        ModelFailure.BLOCKED,
        ModelFailure.WRONG_ADDRESS,
        ModelFailure.MALFORMED,
    }
)
"""Failures that only the operator can end."""
LOW_QUOTA_FRACTION = 0.2


async def check_model_service(
    settings: Settings, store: Store, *, has_database: bool, timings: Timings = Timings()
) -> list[Finding]:
    """Without `has_database`, the quotas and pauses, which the database holds, are not checked."""
    if settings.api_key is None and settings.uses_io_intelligence:
        return [
            error("model.key", "IOINTELLIGENCE_API_KEY is not set.", "Set it to an API key of IO Intelligence, or set "
                  "IOINTELLIGENCE_BASE_URL to another service.")
        ]  # fmt: skip
    api_key = settings.api_key.get_secret_value() if settings.api_key else ""
    api = ModelApi(settings.base_url, api_key, timings=timings)
    try:
        registry = ModelRegistry(api, store, settings, timings=timings)
        findings = await _check_service(api, registry, settings)
        if has_database and registry.is_loaded:
            findings += await _check_quotas(registry, store, settings, key_id_of(api_key), timings)
            findings += await _check_pauses(store, settings, timings)
    finally:
        await api.close()
    return findings + await _check_speech(settings, timings)


async def _check_service(api: ModelApi, registry: ModelRegistry, settings: Settings) -> list[Finding]:
    try:
        models = await api.list_models()
    except ModelError as failure:
        return [_service_finding("model.service", failure, settings.base_url)]
    if not models:
        return [error("model.service", "The model service lists no models.", ADVICE[ModelFailure.WRONG_ADDRESS])]
    registry.set_models(models)
    findings = [ok("model.service", f"{_address(settings.base_url)} lists {len(models)} models.")]
    if problem := await api.find_account_problem():
        findings.append(_service_finding("model.key", problem, settings.base_url))
    else:
        findings.append(ok("model.key", "The service accepts the API key."))
    return findings + _unknown_models(registry, settings)


def _unknown_models(registry: ModelRegistry, settings: Settings) -> list[Finding]:
    unknown = [
        warning("model.names", str(model), "Correct the name. `parley models` lists the models.")
        for model in registry.find_unknown_models()
    ]
    return unknown or [ok("model.names", f"The service offers {settings.default_model} and the other models set.")]


def _service_finding(check: str, failure: ModelError, base_url: str) -> Finding:
    severity = Severity.ERROR if failure.failure in SETUP_FAILURES else Severity.UNAVAILABLE
    return Finding(check, severity, f"{str(failure).rstrip('.')} ({_address(base_url)}).", ADVICE[failure.failure])


async def _check_quotas(
    registry: ModelRegistry, store: Store, settings: Settings, key_id: str, timings: Timings
) -> list[Finding]:
    names = dict.fromkeys((settings.default_model, settings.embedding_model, *settings.fallbacks))
    models = [model for name in names if (model := registry.describe(name)) is not None]
    ledger = Ledger(store, registry, settings, key_id, timings=timings)
    quotas = await quotas_by_model(ledger, key_id, models)
    reset = format_duration(ledger.seconds_until_reset())
    low = [_low_quota(model, quotas[model.id], reset) for model in models if _is_low(quotas[model.id])]
    return low or [ok("model.quota", _describe_quotas(models, quotas))]


def _is_low(quota: QuotaStatus) -> bool:
    fraction = quota.remaining_fraction
    return fraction is not None and fraction < LOW_QUOTA_FRACTION


def _low_quota(model: Model, quota: QuotaStatus, reset: str) -> Finding:
    state = f"has {quota.remaining:,} tokens left for today" if quota.remaining else "has no tokens left for today"
    return warning(
        "model.quota",
        f"{model.id} {state}; quotas reset in {reset}.",
        "Set PARLEY_FALLBACKS to models that answer instead, or limit people with PARLEY_PERSON_TOKENS.",
    )


def _describe_quotas(models: Sequence[Model], quotas: dict[str, QuotaStatus]) -> str:
    known = [f"{model.name}: {quota.remaining:,} of {quota.limit:,} tokens left today"
             for model in models if (quota := quotas[model.id]).limit is not None]  # fmt: skip
    return f"{'; '.join(known)}." if known else "The models set have no known daily quota."


async def _check_pauses(store: Store, settings: Settings, timings: Timings) -> list[Finding]:
    return [
        warning(
            "model.pause",
            f"{pause.model} is paused for {format_duration(pause.remaining_seconds)}: {pause.error}",
            f"{ADVICE[pause.error.failure]} `parley models --reset-pauses` ends pauses.",
        )
        for pause in await ModelPauses(store, settings.base_url, timings=timings).list_pauses()
    ]


async def _check_speech(settings: Settings, timings: Timings) -> list[Finding]:
    """Whether the service at PARLEY_SPEECH_URL answers at all: many such services list no models."""
    if settings.speech_url is None:
        return []
    key = settings.speech_key.get_secret_value() if settings.speech_key else ""
    api = ModelApi(settings.speech_url, key, timings=timings)
    try:
        await api.list_models()
    except ModelError as failure:
        if failure.failure is ModelFailure.UNREACHABLE:
            text = f"The service for voice messages cannot be reached ({_address(settings.speech_url)})."
            return [unavailable("model.speech", text, "Check PARLEY_SPEECH_URL and that the service runs.")]
    finally:
        await api.close()
    return [ok("model.speech", f"{_address(settings.speech_url)} answers.")]


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"

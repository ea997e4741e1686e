"""Finds models in the settings that the service does not offer, because they are misspelt or withdrawn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.api.catalogue import Model, find_model, similar_names
from core.settings import Settings

DEFAULT_MODEL_SETTING = "PARLEY_DEFAULT_MODEL"
EVERY_MODEL = "*"
"""In `PARLEY_QUOTAS`: models without an entry of their own."""
MAX_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class UnknownModel:
    setting: str
    model: str
    suggestions: tuple[str, ...]
    """Offered models with similar names, best first."""

    def __str__(self) -> str:
        hint = f" Did you mean {self.suggestions[0]}?" if self.suggestions else ""
        return f"{self.setting}: the model {self.model} is not offered.{hint}"


def find_unknown_models(
    settings: Settings, available: Mapping[str, Model], known: Mapping[str, Model]
) -> list[UnknownModel]:
    """Every model in the settings that is not in `available`.

    Embedding models in `known` count as available, because the service may not list them.
    """
    everything = {**known, **available}
    embedding_models = {id_: model for id_, model in everything.items() if model.is_embedding_model}
    any_kind = {**available, **embedding_models}
    # The embedding model has an entry of its own.
    ignored = {EVERY_MODEL, settings.embedding_model}
    configured: tuple[tuple[str, Iterable[str], Mapping[str, Model]], ...] = (
        (DEFAULT_MODEL_SETTING, [settings.default_model], available),
        ("PARLEY_EMBEDDING_MODEL", [settings.embedding_model], embedding_models),
        ("PARLEY_FALLBACKS", settings.fallbacks, available),
        ("PARLEY_SUCCESSORS", settings.successors.values(), available),
        ("PARLEY_QUOTAS", [id_ for id_ in settings.quotas if id_ not in ignored], any_kind),
        ("PARLEY_CONTEXTS", [id_ for id_ in settings.contexts if id_ not in ignored], any_kind),
    )
    return [
        UnknownModel(setting, id_, _suggest(id_, models))
        for setting, ids, models in configured
        for id_ in ids
        if id_ not in models
    ]


def _suggest(id_: str, models: Mapping[str, Model]) -> tuple[str, ...]:
    matches = find_model(list(models.values()), id_).models
    ids_by_folded = {model_id.casefold(): model_id for model_id in models}
    close_matches = similar_names(id_.casefold(), ids_by_folded, MAX_SUGGESTIONS)
    ids = [model.id for model in matches] + [ids_by_folded[folded] for folded in close_matches]
    return tuple(dict.fromkeys(ids))[:MAX_SUGGESTIONS]

"""Describes models, reads the services' lists of models, and finds a model by its name.

Pure: `core.conversation.model_registry` fetches, stores and refreshes the list. Services describe
their models in different formats and omit much. Missing values come from the published table
(`core.api.model_data`) or are guessed from the model's name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rapidfuzz import fuzz, process

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_SIZE_IN_BILLIONS = 30.0
MAX_CANDIDATES = 10
MAX_SIMILAR_NAMES = 5
MIN_SIMILARITY = 60.0
"""In percent."""
MAX_MODELS = 1_000
"""Limit for one list; the largest known service offers some hundreds."""
MAX_ID_CHARS = 200
MAX_CONTEXT_TOKENS = 100_000_000
MAX_QUOTA_TOKENS = 10**15

EMBEDDING_NAME_PATTERN = re.compile(r"embed|bge-|e5-|gte-", re.IGNORECASE)
REASONING_NAME_PATTERN = re.compile(r"\br1\b|qwq|thinking|reason|\bo1\b", re.IGNORECASE)
VISION_NAME_PATTERN = re.compile(
    r"[-_.]vl\b|vision|llava|pixtral|internvl|llama-4-|gemma-3-(?!1b|270m)|multimodal",
    re.IGNORECASE,
)
SIZE_PATTERN = re.compile(r"(?<!\d)(\d++(?:\.\d++)?)B\b", re.IGNORECASE)

ID_KEYS = ("id", "name", "model_id")
NESTED_KEYS = ("metadata", "architecture", "meta")
"""Fields that contain further fields, as in IO Intelligence, OpenRouter and llama.cpp."""
CONTEXT_KEYS = ("context_window", "context_length", "max_model_len", "max_tokens", "n_ctx")
"""`n_ctx` is the window of a running llama.cpp server; its model may support a larger one."""
CHAT_QUOTA_KEY = "api_completions_daily_quota_tier_1"
EMBEDDING_QUOTA_KEY = "embeddings_daily_quota_tier_1"
VISION_KEYS = ("supports_images_input", "supports_images", "supports_vision", "vision")
MODALITY_KEYS = ("input_modalities", "modalities", "modality")


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    context_window: int = 0
    """Tokens of input and output together; 0 if unknown."""
    has_reasoning: bool = False
    has_vision: bool = False
    is_embedding_model: bool = False
    daily_quota: int | None = None
    """Tokens a day; None if unknown."""
    billion_parameters: float | None = None
    """The published size; None if unknown."""

    @property
    def name(self) -> str:
        """The id without its owner."""
        return self.id.rpartition("/")[2] or self.id


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """`model` if the query is unambiguous, else the candidates, best first."""

    model: Model | None
    candidates: tuple[Model, ...] = ()


def size_in_billions(model: Model) -> float:
    """Billions of parameters, from the name or the published table; if unknown, a medium size."""
    match = SIZE_PATTERN.search(model.name)
    return max(0.1, float(match[1])) if match else model.billion_parameters or DEFAULT_SIZE_IN_BILLIONS


def parse_models(body: Any) -> tuple[Model, ...]:
    """The models in a response to `GET /models`, in any known format."""
    items = body
    if isinstance(body, Mapping):
        items = body.get("data", body.get("models", ()))
    if not isinstance(items, list | tuple):
        return ()
    models = map(_parse_model, items[:MAX_MODELS])
    models_by_id = {model.id: model for model in models if model is not None}
    return tuple(models_by_id.values())


def _parse_model(item: Any) -> Model | None:
    if isinstance(item, str):
        item = {"id": item}
    if not isinstance(item, Mapping):
        return None
    fields: dict[str, Any] = {}
    for part in (*(item.get(key) for key in NESTED_KEYS), item):
        if isinstance(part, Mapping):
            fields.update((key, value) for key, value in part.items() if value is not None)
    ids = (fields.get(key) for key in ID_KEYS)
    model_id = next((value for value in ids if isinstance(value, str) and value), None)
    if model_id is None or not model_id.isprintable():
        return None
    is_embedding_model = _is_embedding_model(model_id, fields)
    quota = fields.get(EMBEDDING_QUOTA_KEY if is_embedding_model else CHAT_QUOTA_KEY)
    windows = (fields.get(key) for key in CONTEXT_KEYS)
    return Model(
        model_id[:MAX_ID_CHARS],
        next((n for n in windows if type(n) is int and 0 < n <= MAX_CONTEXT_TOKENS), 0),
        bool(fields.get("supports_reasoning")) or bool(REASONING_NAME_PATTERN.search(model_id)),
        has_vision=_has_vision(model_id, fields),
        is_embedding_model=is_embedding_model,
        daily_quota=quota if type(quota) is int and 0 <= quota <= MAX_QUOTA_TOKENS else None,
    )


def _is_embedding_model(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model only returns vectors."""
    if fields.get("enable_api_embeddings") is True:
        return fields.get("enable_api_chat_completions") is not True
    output_modalities = fields.get("output_modalities")
    return output_modalities in (["embedding"], ["embeddings"]) or bool(EMBEDDING_NAME_PATTERN.search(model_id))


def _has_vision(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model accepts images, by its description or else by its name."""
    for key in VISION_KEYS:
        if isinstance(fields.get(key), bool):
            return bool(fields[key])
    for key in MODALITY_KEYS:
        match fields.get(key):
            case str(modality):  # "text+image->text"
                return "image" in modality.partition("->")[0]
            case [*modalities] if modalities:
                return "image" in modalities
    return bool(VISION_NAME_PATTERN.search(model_id))


def merge_models(
    offered_models: Mapping[str, Model],
    known_models: Mapping[str, Model],
    context_overrides: Mapping[str, int],
) -> dict[str, Model]:
    """The offered models, completed from the known ones. The operator's context windows take precedence."""
    merged = {}
    for model_id, model in offered_models.items():
        known = known_models.get(model_id, Model(model_id))
        merged[model_id] = replace(
            model,
            context_window=context_overrides.get(model_id)
            or model.context_window
            or known.context_window
            or DEFAULT_CONTEXT_TOKENS,
            has_reasoning=model.has_reasoning or known.has_reasoning,
            is_embedding_model=model.is_embedding_model or known.is_embedding_model,
            daily_quota=known.daily_quota if model.daily_quota is None else model.daily_quota,
            billion_parameters=known.billion_parameters,
        )
    return merged


def find_model(models: Sequence[Model], query: str) -> ModelMatch:
    """Find the model a person means.

    An exact id or name beats a prefix, which beats any other part of a name. If nothing matches, punctuation is
    ignored; then similar names count. "llama 3.3" finds "meta-llama/Llama-3.3-70B-Instruct".
    """
    query = query.strip()[:MAX_ID_CHARS]
    if not query:
        return ModelMatch(None)
    for normalise in (str.casefold, _alphanumeric):
        needle = normalise(query)
        names = [(normalise(model.id), normalise(model.name)) for model in models]
        for test in (str.__eq__, str.startswith, str.__contains__):
            matches = [
                model
                for model, (id_, name) in zip(models, names, strict=True)
                if test(id_, needle) or test(name, needle)
            ]
            if len(matches) == 1:
                return ModelMatch(matches[0])
            if matches:
                ranked = sorted(matches, key=lambda model: (len(model.name), model.name))
                return ModelMatch(None, tuple(ranked[:MAX_CANDIDATES]))
    models_by_name = {_alphanumeric(model.name): model for model in models}
    names_found = similar_names(_alphanumeric(query), models_by_name, MAX_SIMILAR_NAMES)
    return ModelMatch(None, tuple(models_by_name[name] for name in names_found))


def similar_names(query: str, names: Iterable[str], limit: int) -> list[str]:
    """The most similar names, best first."""
    found = process.extract(query, list(names), scorer=fuzz.ratio, score_cutoff=MIN_SIMILARITY, limit=limit)
    return [name for name, _score, _index in found]


def _alphanumeric(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())

"""Which models there are and what they can take. Pure."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.api.model_data import BUILTIN_MODELS, DEFAULT_EMBEDDING_MODEL, SIZES_IN_BILLIONS

__all__ = [
    "Model",
    "ModelMatch",
    "builtin_models",
    "find_model",
    "merge_models",
    "parse_models",
    "size_in_billions",
]

DEFAULT_CONTEXT_TOKENS = 8192  # tokens, for a model nobody says anything about
DEFAULT_DAILY_QUOTA_TOKENS = 500_000  # tokens a program may use of a model in a day
EMBEDDING_NAME_PATTERN = re.compile(r"embed|bge-|e5-|gte-", re.IGNORECASE)
REASONING_NAME_PATTERN = re.compile(r"\br1\b|qwq|thinking|reason|\bo1\b", re.IGNORECASE)
SIZE_PATTERN = re.compile(r"(\d+(?:\.\d+)?)B\b", re.IGNORECASE)
MAX_CANDIDATES = 10
MAX_MODELS = 5_000  # of a list; the largest service has some hundreds
MAX_CONTEXT_TOKENS = 100_000_000  # tokens
MAX_QUOTA_TOKENS = 10**15  # tokens
VISION_NAME_PATTERN = re.compile(
    r"[-_.]vl\b|vision|llava|pixtral|internvl|llama-4-|gemma-3-(?!1b|270m)|multimodal",
    re.IGNORECASE,
)
# n_ctx: the window a llama.cpp server runs with, which may be less than its model was made for.
CONTEXT_KEYS = ("context_window", "context_length", "max_model_len", "max_tokens", "n_ctx")
QUOTA_KEYS = ("api_completions_daily_quota_tier_1", "embeddings_daily_quota_tier_1")
NESTED_KEYS = (
    "metadata",
    "architecture",
    "meta",
)  # of IO Intelligence; of OpenRouter and llama.cpp
VISION_KEYS = ("supports_images_input", "supports_images", "supports_vision", "vision")
MODALITY_KEYS = ("input_modalities", "modalities", "modality")


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    context_window: int = 0
    """Input and output together, in tokens; 0: not said."""
    has_reasoning: bool = False
    has_vision: bool = False
    is_embedding_model: bool = False
    daily_quota: int | None = None
    """Tokens a day; None: not said."""

    @property
    def name(self) -> str:
        """Without the owner."""
        return self.id.rpartition("/")[2] or self.id


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """`model` when the query can only mean it, else what it may mean, best first."""

    model: Model | None
    candidates: tuple[Model, ...] = ()


def size_in_billions(model: Model) -> float:
    """In billions of parameters, as its name tells; a middling one where nobody knows."""
    match = SIZE_PATTERN.search(model.name)
    return max(0.1, float(match[1])) if match else SIZES_IN_BILLIONS.get(model.id, 30.0)


def builtin_models() -> dict[str, Model]:
    return {
        id_: Model(
            id_,
            context,
            reasons,
            is_embedding_model=id_ == DEFAULT_EMBEDDING_MODEL,
            daily_quota=DEFAULT_DAILY_QUOTA_TOKENS,
        )
        for id_, context, reasons in BUILTIN_MODELS
    }


def parse_models(body: Any) -> tuple[Model, ...]:
    """The models of an answer to `GET /models`, in any known shape."""
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
    nested = (item.get(key) for key in NESTED_KEYS)
    fields: dict[str, Any] = {}
    for part in (*nested, item):
        if isinstance(part, Mapping):
            fields.update((key, value) for key, value in part.items() if value is not None)
    id_ = next(
        (fields[k] for k in ("id", "name", "model_id") if isinstance(fields.get(k), str) and fields[k]),
        None,
    )
    if id_ is None or not id_.isprintable():
        return None
    lengths = (fields.get(key) for key in CONTEXT_KEYS)
    context = next((n for n in lengths if type(n) is int and 0 < n <= MAX_CONTEXT_TOKENS), 0)
    embeds = _is_embedding_model(id_, fields)
    quota = fields.get(QUOTA_KEYS[embeds])
    return Model(
        id_[:200],
        context,
        bool(fields.get("supports_reasoning")) or bool(REASONING_NAME_PATTERN.search(id_)),
        has_vision=_has_vision(id_, fields),
        is_embedding_model=embeds,
        daily_quota=quota if type(quota) is int and 0 <= quota <= MAX_QUOTA_TOKENS else None,
    )


def _is_embedding_model(id_: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model makes vectors and nothing else."""
    if fields.get("enable_api_embeddings") is True:
        return fields.get("enable_api_chat_completions") is not True
    output_modalities = fields.get("output_modalities")
    return output_modalities in (["embedding"], ["embeddings"]) or bool(EMBEDDING_NAME_PATTERN.search(id_))


def _has_vision(id_: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model takes images: as its description tells, else as its name does."""
    for key in VISION_KEYS:
        if isinstance(fields.get(key), bool):
            return bool(fields[key])
    for key in MODALITY_KEYS:
        match fields.get(key):
            case str(form):  # "text+image->text"
                return "image" in form.partition("->")[0]
            case [*kinds] if kinds:
                return "image" in kinds
    return bool(VISION_NAME_PATTERN.search(id_))


def merge_models(
    offered_models: Mapping[str, Model],
    known_models: Mapping[str, Model],
    context_overrides: Mapping[str, int],
) -> dict[str, Model]:
    """What is offered, completed by what is known, overridden by the operator's `contexts`."""
    merged = {}
    for id_, model in offered_models.items():
        base = known_models.get(id_, Model(id_))
        merged[id_] = replace(
            model,
            context_window=context_overrides.get(id_)
            or model.context_window
            or base.context_window
            or DEFAULT_CONTEXT_TOKENS,
            has_reasoning=model.has_reasoning or base.has_reasoning,
            is_embedding_model=model.is_embedding_model or base.is_embedding_model,
            daily_quota=base.daily_quota if model.daily_quota is None else model.daily_quota,
        )
    return merged


def find_model(models: Sequence[Model], query: str) -> ModelMatch:
    """The model a person means: id or name, a unique beginning of it, a unique part of it."""
    needle = query.strip().casefold()
    if not needle:
        return ModelMatch(None)
    for normalise in (_casefolded, _alphanumeric):
        for test in (str.__eq__, str.startswith, str.__contains__):
            matches = [
                model
                for model in models
                if test(normalise(model.id), normalise(needle)) or test(normalise(model.name), normalise(needle))
            ]
            if len(matches) == 1:
                return ModelMatch(matches[0])
            if matches:
                ranked = sorted(matches, key=lambda model: (len(model.name), model.name))
                return ModelMatch(None, tuple(ranked[:MAX_CANDIDATES]))
    names = {_alphanumeric(model.name): model for model in models}
    close_names = difflib.get_close_matches(_alphanumeric(needle), names, n=5, cutoff=0.6)
    return ModelMatch(None, tuple(names[name] for name in close_names))


def _casefolded(text: str) -> str:
    return text.casefold()


def _alphanumeric(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())

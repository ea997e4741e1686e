"""Describes models, reads the services' lists of models, and finds a model by its name.

Pure: `core.conversation.model_registry` fetches, stores and refreshes the list. Services describe
their models in different formats and omit much. Missing values come from the published table
(`core.api.model_data`) or are guessed from the model's name (`core.api.model_abilities`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any

from core.api import model_abilities

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_SIZE_IN_BILLIONS = 30.0
MAX_CANDIDATES = 10
MIN_SIMILARITY = 60.0
"""In percent."""
MAX_MODELS = 1_000
"""Limit for one list; the largest known service offers some hundreds."""
MAX_ID_CHARS = 200
MAX_CONTEXT_TOKENS = 100_000_000
MAX_QUOTA_TOKENS = 10**15

SIZE_PATTERN = re.compile(r"(?<!\d)(\d++(?:\.\d++)?)B\b", re.IGNORECASE)

WORD_PATTERN = re.compile(r"[^\W\d_]+|\d+")
PART_PATTERN = re.compile(r"[^\W_]+(?:\.\d+)*")
"""A part of a name, with the decimals of a version: "qwen2.5", "70b"."""
MAX_QUERY_PARTS = 8

ID_KEYS = ("id", "name", "model_id")
NESTED_KEYS = ("metadata", "architecture", "meta")
"""Fields that contain further fields, as in IO Intelligence, OpenRouter and llama.cpp."""
CONTEXT_KEYS = ("context_window", "context_length", "max_model_len", "max_tokens", "n_ctx")
"""`n_ctx` is the window of a running llama.cpp server; its model may support a larger one."""
IO_INTELLIGENCE_OWNER = "io-intelligence"
CHAT_QUOTA_KEY = "api_completions_daily_quota_tier_1"
EMBEDDING_QUOTA_KEY = "embeddings_daily_quota_tier_1"


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    context_window: int = 0
    """Tokens of input and output together; 0 if unknown."""
    has_reasoning: bool = False
    has_vision: bool = False
    is_embedding_model: bool = False
    is_speech_model: bool = False
    """It only transcribes recordings."""
    has_other_purpose: bool = False
    """It cannot chat, but draws, speaks, moderates or ranks, or needs another API."""
    daily_quota: int | None = None
    """Tokens a day; None if unknown."""
    is_from_io_intelligence: bool = field(default=False, compare=False)
    """Whether the list says so, whatever its address is: then the published quotas hold."""
    billion_parameters: float | None = None
    """The published size; None if unknown."""

    @property
    def can_chat(self) -> bool:
        return not (self.is_embedding_model or self.is_speech_model or self.has_other_purpose)

    @property
    def name(self) -> str:
        """The id without its owner."""
        return self.id.rpartition("/")[2] or self.id

    @property
    def family(self) -> str:
        """The owner that the ID names, or how the name begins: `meta-llama`, `gpt`."""
        owner = self.id.rpartition("/")[0]
        word = WORD_PATTERN.search(self.name)
        return owner or (word[0] if word else self.name)


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """What a query means: one model, several candidates, or none."""

    model: Model | None = None
    """The only match."""
    candidates: tuple[Model, ...] = ()
    """Several matches, best first."""
    similar: Model | None = None
    """Without a match: the model that was probably meant."""

    @property
    def models(self) -> list[Model]:
        """All of them, best first."""
        return [model for model in (self.model, *self.candidates, self.similar) if model is not None]


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
    is_embedding_model = model_abilities.is_embedding_model(model_id, fields)
    quota = fields.get(EMBEDDING_QUOTA_KEY if is_embedding_model else CHAT_QUOTA_KEY)
    windows = (fields.get(key) for key in CONTEXT_KEYS)
    return Model(
        model_id[:MAX_ID_CHARS],
        next((n for n in windows if type(n) is int and 0 < n <= MAX_CONTEXT_TOKENS), 0),
        model_abilities.has_reasoning(model_id, fields),
        has_vision=model_abilities.has_vision(model_id, fields),
        is_embedding_model=is_embedding_model,
        is_speech_model=model_abilities.is_speech_model(model_id, fields),
        has_other_purpose=model_abilities.has_other_purpose(model_id, fields),
        daily_quota=quota if type(quota) is int and 0 <= quota <= MAX_QUOTA_TOKENS else None,
        is_from_io_intelligence=fields.get("owned_by") == IO_INTELLIGENCE_OWNER,
    )


def merge_models(
    offered_models: Mapping[str, Model], known_models: Mapping[str, Model], context_overrides: Mapping[str, int]
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


@dataclass(frozen=True, slots=True)
class _SearchedModel:
    """What queries are compared with; without what is between the words, and in lower case."""

    name: str
    id: str
    word_starts: tuple[int, ...]
    """In `id`."""
    parts: str
    """All of the ID, each after a space."""


@lru_cache(maxsize=4 * MAX_MODELS)
def _searched(model_id: str) -> _SearchedModel:
    """Cached, because each key that a person presses may search for a model."""
    folded = model_id.casefold()
    words = _words(folded)
    return _SearchedModel(
        name="".join(_words(Model(model_id).name.casefold())),
        id="".join(words),
        word_starts=tuple(accumulate(map(len, words[:-1]), initial=0)),
        parts="".join(f" {part}" for part in PART_PATTERN.findall(folded)),
    )


def find_model(models: Sequence[Model], query: str) -> ModelMatch:
    """Find the model a person means.

    Case and punctuation do not matter, and a match begins where a word of the name begins: "llama 3.3", "llama33" and
    "70b llama" find "meta-llama/Llama-3.3-70B-Instruct"; "ama" and "llama please" do not. An exact name beats the
    beginning of one, which beats words in the middle, which beat words in another order.
    """
    query = query[:MAX_ID_CHARS].casefold()
    joined, parts = "".join(_words(query)), PART_PATTERN.findall(query)[:MAX_QUERY_PARTS]
    if not joined:
        return ModelMatch()
    part_patterns = [_part_pattern(part) for part in parts]
    tests: tuple[Callable[[_SearchedModel], bool], ...] = (
        lambda model: joined in (model.id, model.name),
        lambda model: model.id.startswith(joined) or model.name.startswith(joined),
        lambda model: joined in model.id and any(model.id.startswith(joined, start) for start in model.word_starts),
        lambda model: all(pattern.search(model.parts) for pattern in part_patterns),
    )
    searched_models = [(model, _searched(model.id)) for model in models]
    for is_match in tests:
        matches = [model for model, searched in searched_models if is_match(searched)]
        if len(matches) == 1:
            return ModelMatch(matches[0])
        if matches:
            ranked = sorted(matches, key=lambda model: (len(model.name), model.name))
            return ModelMatch(candidates=tuple(ranked[:MAX_CANDIDATES]))
    models_by_name = {searched.name: model for model, searched in searched_models}
    return ModelMatch(similar=next((models_by_name[name] for name in similar_names(joined, models_by_name, 1)), None))


def _part_pattern(part: str) -> re.Pattern[str]:
    """Finds a part that begins with `part`. A number must not go on: "7b" does not begin "70b", nor "5" "50"."""
    return re.compile(f" {re.escape(part)}" + (r"(?!\d)" if part[-1].isdigit() else ""))


def similar_names(query: str, names: Iterable[str], limit: int) -> list[str]:
    """The most similar names, best first."""
    from rapidfuzz import fuzz, process

    found = process.extract(query, list(names), scorer=fuzz.ratio, score_cutoff=MIN_SIMILARITY, limit=limit)
    return [name for name, _score, _index in found]


def _words(text: str) -> list[str]:
    """Runs of letters and runs of digits: "phi-4", "phi4" and "phi 4" are the words "phi" and "4"."""
    return WORD_PATTERN.findall(text)

"""Which models there are and what they can take. Pure."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.api.table import EMBEDDING, SIZES, TABLE

__all__ = ["Match", "Model", "builtin", "find", "merge", "parse", "size"]

UNKNOWN_CONTEXT = 8192  # tokens, for a model nobody says anything about
DAILY_QUOTA = 500_000  # tokens a program may use of a model in a day
EMBEDS = re.compile(r"embed|bge-|e5-|gte-", re.IGNORECASE)
REASONS = re.compile(r"\br1\b|qwq|thinking|reason|\bo1\b", re.IGNORECASE)
SIZE = re.compile(r"(\d+(?:\.\d+)?)B\b", re.IGNORECASE)
MOST_CANDIDATES = 10
MOST_MODELS = 5_000  # of a list; the largest service has some hundreds
LARGEST_CONTEXT = 100_000_000  # tokens
LARGEST_QUOTA = 10**15  # tokens
VISION = re.compile(
    r"[-_.]vl\b|vision|llava|pixtral|internvl|llama-4-|gemma-3-(?!1b|270m)|multimodal",
    re.IGNORECASE,
)
# n_ctx: the window a llama.cpp server runs with, which may be less than its model was made for.
LENGTHS = ("context_window", "context_length", "max_model_len", "max_tokens", "n_ctx")
QUOTAS = ("api_completions_daily_quota_tier_1", "embeddings_daily_quota_tier_1")
NESTED = ("metadata", "architecture", "meta")  # of IO Intelligence; of OpenRouter and llama.cpp
SEES = ("supports_images_input", "supports_images", "supports_vision", "vision")
MODALITIES = ("input_modalities", "modalities", "modality")


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    context: int = 0
    """Input and output together, in tokens; 0: not said."""
    reasons: bool = False
    vision: bool = False
    embeds: bool = False
    daily_quota: int | None = None
    """Tokens a day; None: not said."""

    @property
    def name(self) -> str:
        """Without the owner."""
        return self.id.rpartition("/")[2] or self.id


@dataclass(frozen=True, slots=True)
class Match:
    """`model` when the query can only mean it, else what it may mean, best first."""

    model: Model | None
    candidates: tuple[Model, ...] = ()


def size(model: Model) -> float:
    """In billions of parameters, as its name tells; a middling one where nobody knows."""
    found = SIZE.search(model.name)
    return max(0.1, float(found[1])) if found else SIZES.get(model.id, 30.0)


def builtin() -> dict[str, Model]:
    return {
        id_: Model(id_, context, reasons, embeds=id_ == EMBEDDING, daily_quota=DAILY_QUOTA)
        for id_, context, reasons in TABLE
    }


def parse(body: Any) -> tuple[Model, ...]:
    """The models of an answer to `GET /models`, in any known shape."""
    items = body
    if isinstance(body, Mapping):
        items = body.get("data", body.get("models", ()))
    if not isinstance(items, list | tuple):
        return ()
    models = map(_model, items[:MOST_MODELS])
    found = {model.id: model for model in models if model is not None}
    return tuple(found.values())


def _model(item: Any) -> Model | None:
    if isinstance(item, str):
        item = {"id": item}
    if not isinstance(item, Mapping):
        return None
    nested = (item.get(key) for key in NESTED)
    both: dict[str, Any] = {}
    for part in (*nested, item):
        if isinstance(part, Mapping):
            both.update((key, value) for key, value in part.items() if value is not None)
    id_ = next(
        (both[k] for k in ("id", "name", "model_id") if isinstance(both.get(k), str) and both[k]),
        None,
    )
    if id_ is None or not id_.isprintable():
        return None
    lengths = (both.get(key) for key in LENGTHS)
    context = next((n for n in lengths if type(n) is int and 0 < n <= LARGEST_CONTEXT), 0)
    embeds = _embeds(id_, both)
    quota = both.get(QUOTAS[embeds])
    return Model(
        id_[:200],
        context,
        bool(both.get("supports_reasoning")) or bool(REASONS.search(id_)),
        vision=_sees(id_, both),
        embeds=embeds,
        daily_quota=quota if type(quota) is int and 0 <= quota <= LARGEST_QUOTA else None,
    )


def _embeds(id_: str, told: Mapping[str, Any]) -> bool:
    """Whether a model makes vectors and nothing else."""
    if told.get("enable_api_embeddings") is True:
        return told.get("enable_api_chat_completions") is not True
    gives = told.get("output_modalities")
    return gives in (["embedding"], ["embeddings"]) or bool(EMBEDS.search(id_))


def _sees(id_: str, told: Mapping[str, Any]) -> bool:
    """Whether a model takes images: as its description tells, else as its name does."""
    for key in SEES:
        if isinstance(told.get(key), bool):
            return bool(told[key])
    for key in MODALITIES:
        match told.get(key):
            case str(form):  # "text+image->text"
                return "image" in form.partition("->")[0]
            case [*kinds] if kinds:
                return "image" in kinds
    return bool(VISION.search(id_))


def merge(
    offered: Mapping[str, Model], known: Mapping[str, Model], contexts: Mapping[str, int]
) -> dict[str, Model]:
    """What is offered, completed by what is known, overridden by the operator's `contexts`."""
    merged = {}
    for id_, model in offered.items():
        base = known.get(id_, Model(id_))
        merged[id_] = replace(
            model,
            context=contexts.get(id_) or model.context or base.context or UNKNOWN_CONTEXT,
            reasons=model.reasons or base.reasons,
            embeds=model.embeds or base.embeds,
            daily_quota=base.daily_quota if model.daily_quota is None else model.daily_quota,
        )
    return merged


def find(models: Sequence[Model], query: str) -> Match:
    """The model a person means: id or name, a unique beginning of it, a unique part of it."""
    wanted = query.strip().casefold()
    if not wanted:
        return Match(None)
    for form in (_same, _plain):
        for test in (str.__eq__, str.startswith, str.__contains__):
            fits = [
                model
                for model in models
                if test(form(model.id), form(wanted)) or test(form(model.name), form(wanted))
            ]
            if len(fits) == 1:
                return Match(fits[0])
            if fits:
                ranked = sorted(fits, key=lambda model: (len(model.name), model.name))
                return Match(None, tuple(ranked[:MOST_CANDIDATES]))
    names = {_plain(model.name): model for model in models}
    near = difflib.get_close_matches(_plain(wanted), names, n=5, cutoff=0.6)
    return Match(None, tuple(names[name] for name in near))


def _same(text: str) -> str:
    return text.casefold()


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())

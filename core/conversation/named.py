"""Models that the settings name and that are not among those one can ask: misspelt, or gone."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.api.catalogue import Model, builtin, find
from core.settings import Settings

__all__ = ["DEFAULT", "Missing", "missing"]

DEFAULT = "PARLEY_DEFAULT_MODEL"
EMBEDDING = "PARLEY_EMBEDDING_MODEL"
SIZED = ("PARLEY_QUOTAS", "PARLEY_CONTEXTS")
EVERY_MODEL = "*"
MOST = 3


@dataclass(frozen=True, slots=True)
class Missing:
    setting: str
    model: str
    close: tuple[str, ...]
    """What may have been meant, best first."""

    def __str__(self) -> str:
        meant = f"; is {self.close[0]} meant?" if self.close else ""
        return f"{self.setting} names {self.model}, which is not among the models known{meant}"


def missing(settings: Settings, offered: Mapping[str, Model]) -> list[Missing]:
    """Every model of the settings that is not `offered`, and no model for embeddings that is
    known: a service may list those nowhere.
    """
    embeds = {id_: one for id_, one in {**builtin(), **offered}.items() if one.embeds}
    found = []
    for setting, id_ in _named(settings):
        known = embeds if setting == EMBEDDING else offered
        if setting in SIZED:
            known = {**offered, **embeds}
        if id_ not in known:
            found.append(Missing(setting, id_, _close(id_, known)))
    return found


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    """(setting, model)."""
    yield DEFAULT, settings.default_model
    yield EMBEDDING, settings.embedding_model
    others = (
        ("PARLEY_FALLBACKS", settings.fallbacks),
        ("PARLEY_SUCCESSORS", settings.successors.values()),
        *zip(SIZED, (settings.quotas, settings.contexts), strict=True),
    )
    for setting, ids in others:
        beside = (EVERY_MODEL, settings.embedding_model) if setting in SIZED else ()
        yield from ((setting, id_) for id_ in ids if id_ not in beside)


def _close(id_: str, known: Mapping[str, Model]) -> tuple[str, ...]:
    match = find(list(known.values()), id_)
    found = [match.model] if match.model else list(match.candidates)
    plain = {one.casefold(): one for one in known}
    alike = difflib.get_close_matches(id_.casefold(), plain, n=MOST)
    ids = [model.id for model in found] + [plain[one] for one in alike]
    return tuple(dict.fromkeys(ids))[:MOST]

"""Which models of the settings are reported as not offered, and what is suggested instead."""

import pytest

from core.api.catalogue import Model
from core.conversation.unknown_models import MAX_SUGGESTIONS, UnknownModel, find_unknown_models
from core.settings import Settings

CHAT, EMBEDDING = Model("a/large-70B"), Model("d/embedder", is_embedding_model=True)
OFFERED = {CHAT.id: CHAT, EMBEDDING.id: EMBEDDING}
UNLISTED = Model("d/unlisted-embedder", is_embedding_model=True)
KNOWN = {UNLISTED.id: UNLISTED, "b/withdrawn-7B": Model("b/withdrawn-7B")}
SETTINGS = {"default_model": CHAT.id, "embedding_model": EMBEDDING.id}


@pytest.mark.parametrize(
    ("settings", "unknown"),
    [
        ({}, []),
        ({"default_model": "gone"}, [("PARLEY_DEFAULT_MODEL", "gone")]),
        ({"default_model": "b/withdrawn-7B"}, [("PARLEY_DEFAULT_MODEL", "b/withdrawn-7B")]),
        ({"embedding_model": "gone"}, [("PARLEY_EMBEDDING_MODEL", "gone")]),
        ({"embedding_model": CHAT.id}, [("PARLEY_EMBEDDING_MODEL", CHAT.id)]),
        ({"embedding_model": UNLISTED.id}, []),
        ({"fallbacks": (CHAT.id, "gone")}, [("PARLEY_FALLBACKS", "gone")]),
        ({"successors": {"old": CHAT.id, "older": "gone"}}, [("PARLEY_SUCCESSORS", "gone")]),
        ({"quotas": {CHAT.id: 1, EMBEDDING.id: 1, UNLISTED.id: 1, "*": 1, "gone": 1}}, [("PARLEY_QUOTAS", "gone")]),
        ({"contexts": {CHAT.id: 600, "gone": 600}}, [("PARLEY_CONTEXTS", "gone")]),
        (
            {"embedding_model": "gone", "quotas": {"gone": 1}, "contexts": {"gone": 600}},
            [("PARLEY_EMBEDDING_MODEL", "gone")],
        ),
    ],
    ids=str,
)
def test_setting_with_unknown_model_is_named(settings: dict[str, object], unknown: list[tuple[str, str]]) -> None:
    found = find_unknown_models(Settings(**{**SETTINGS, **settings}), OFFERED, KNOWN)  # type: ignore[arg-type]
    assert [(item.setting, item.model) for item in found] == unknown


def test_similar_models_are_suggested() -> None:
    models = {model.id: model for model in (CHAT, *(Model(f"b/small-{number}B") for number in range(1, 6)))}

    def suggestions(name: str) -> tuple[str, ...]:
        settings = Settings(default_model=name, embedding_model=EMBEDDING.id)
        (unknown,) = find_unknown_models(settings, models, OFFERED)
        return unknown.suggestions

    assert suggestions("A/Large-70b")[0] == CHAT.id, "the name in other letters"
    assert suggestions("a/lrage-70B") == (CHAT.id,), "a misspelt name"
    assert len(suggestions("small")) == MAX_SUGGESTIONS
    assert suggestions("x/quite-different") == ()


def test_report_names_the_best_suggestion() -> None:
    assert str(UnknownModel("PARLEY_DEFAULT_MODEL", "phi", ("microsoft/phi-4", "other"))) == (
        "PARLEY_DEFAULT_MODEL: the model phi is not offered. Did you mean microsoft/phi-4?"
    )
    assert str(UnknownModel("PARLEY_DEFAULT_MODEL", "phi", ())) == "PARLEY_DEFAULT_MODEL: the model phi is not offered."

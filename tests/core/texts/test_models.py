"""Replies to /model, /models and /compare, and the labels of their menus."""

import pytest

from core.api.catalogue import Model
from core.conversation.ledger import QuotaStatus
from core.conversation.preferences import EffectivePreference
from core.scopes import Scope, ScopeKind
from core.store.token_usage import TokenUsage
from core.texts import models
from core.texts.models import ambiguous_model, unknown_model

PHI, LLAMA = Model("microsoft/phi-4"), Model("meta-llama/Llama-3.3-70B-Instruct")
QWEN = Model("Qwen/Qwen_3", 262_144, has_reasoning=True, has_vision=True)
SMALL = Model("a/small", 512)
CHAT, PERSON, MEMBER = (Scope(kind, "7") for kind in (ScopeKind.CHAT, ScopeKind.PERSON, ScopeKind.MEMBER))
NO_QUOTA = QuotaStatus(None, TokenUsage(tokens=5))
UNUSED, HALF = QuotaStatus(500_000, TokenUsage()), QuotaStatus(500_000, TokenUsage(tokens=250_000))


def test_one_similar_model_is_suggested() -> None:
    assert unknown_model("phi-5", PHI) == "No model matches “phi-5”. Did you mean `microsoft/phi-4`?"
    assert unknown_model("gpt", None) == "No model matches “gpt”. See /models."
    assert models.no_model_listed("gpt") == "No model matches “gpt”."


def test_several_models_are_listed() -> None:
    assert ambiguous_model("i", [PHI, LLAMA]) == (
        "Several models match “i”. Choose one:\n\n- `microsoft/phi-4`\n- `meta-llama/Llama-3.3-70B-Instruct`"
    )
    assert models.several_models("i", ["/compare phi-4 llama", "/compare phi-4 `qwen`"]) == (
        "Several models match “i”. Send one of these instead:\n\n- `/compare phi-4 llama`\n- `/compare phi-4 qwen`"
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (QWEN, "Qwen_3 · 262k · reasoning · pictures"),
        (SMALL, "small · 512"),
        (Model("a/edge", 1_000), "edge · 1k"),
        (Model("a/bge", 999, is_embedding_model=True), "bge · 999 · embeddings only"),
    ],
)
def test_model_is_one_line(model: Model, text: str) -> None:
    assert models.describe_model(model) == text


@pytest.mark.parametrize(
    ("scope", "set_by", "replaced", "reason"),
    [
        (None, "", "", "the default"),
        (CHAT, "Ann_B", "", "chosen for this chat by Ann\\_B"),
        (CHAT, "", "", "chosen for this chat"),
        (PERSON, "Ann", "", "chosen for all your chats"),
        (MEMBER, "Ann", "", "chosen for your messages in this chat"),
        (None, "", "old_model", "in place of old\\_model, the default, which is no longer available"),
    ],
)
def test_current_model_says_why(scope: Scope | None, set_by: str, replaced: str, reason: str) -> None:
    text = models.current_model("Qwen_3", EffectivePreference("Qwen/Qwen_3", scope, set_by), replaced)
    assert text == f"Model: **Qwen\\_3** ({reason}). Choose another:"


def test_change_is_confirmed() -> None:
    assert models.model_changed(QWEN, CHAT) == "Model: **Qwen\\_3**, 262k tokens of context (this chat)"
    assert models.model_reset("Qwen_3", CHAT, None) == "Back to the default: **Qwen\\_3**"
    assert models.model_reset("Qwen_3", CHAT, PERSON) == (
        "Model reset (this chat). **Qwen\\_3**, chosen for all your chats, answers here."
    )
    assert models.model_missing("chat") == (
        "Add the model's name: `/model NAME chat`. To remove the choice: `/model reset chat`."
    )


def test_models_that_cannot_be_used() -> None:
    assert models.quota_used_up(7_200) == "Its quota for today is used up. Quotas reset in 2 h."
    assert models.same_model(QWEN) == "Both names mean **Qwen\\_3**. Name another model to compare it with."
    assert models.embedding_model_chosen(QWEN) == (
        "Qwen\\_3 only searches notes and files; it can't answer. See /models."
    )


def test_names_on_buttons_and_headings() -> None:
    assert models.compared_heading("Qwen/Qwen_3") == "**Qwen\\_3**\n\n"
    assert models.compared_heading("Qwen_3") == "**Qwen\\_3**\n\n"
    assert models.use_model_button("Qwen_3") == "Use Qwen_3"


def test_list_counts_models() -> None:
    assert models.model_list(1, 7_200, ["- a"]) == "1 model. Quotas reset in 2 h.\n\n- a"
    assert models.model_list(1_200, 60, ["- a", "- b"]) == "1,200 models. Quotas reset in 60 s.\n\n- a\n- b"
    assert models.family_label("Qwen", 1) == "Qwen · 1 model"
    assert models.family_label("Qwen", 2) == "Qwen · 2 models"


@pytest.mark.parametrize(
    ("quota", "is_current", "text"),
    [
        (NO_QUOTA, False, "- Qwen\\_3 · 262k · reasoning · pictures"),
        (UNUSED, False, "- Qwen\\_3 · 262k · reasoning · pictures · 500k tokens left"),
        (HALF, True, "- Qwen\\_3 · 262k · reasoning · pictures · 250k tokens left ██░░░ ← current"),
    ],
)
def test_entry_of_the_list_shows_the_quota(quota: QuotaStatus, text: str, *, is_current: bool) -> None:
    assert models.model_list_entry(QWEN, quota, is_current=is_current) == text


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (QWEN, "Qwen_3 · 262k · 🧠 👁"),
        (Model("a/see", 4_096, has_vision=True), "see · 4k · 👁"),
        (Model("a/think", 4_096, has_reasoning=True), "think · 4k · 🧠"),
        (SMALL, "small · 512"),
    ],
)
def test_label_in_a_menu_marks_features(model: Model, label: str) -> None:
    assert models.model_label(model) == label


@pytest.mark.parametrize(
    ("model", "quota", "is_current", "text"),
    [
        (QWEN, HALF, False, "**Qwen\\_3**\n262k · 🧠 👁 reasoning and pictures · 250k tokens left"),
        (SMALL, NO_QUOTA, True, "**small** ← current\n512"),
        (SMALL, QuotaStatus(None, TokenUsage(is_exhausted=True)), False, "**small**\n512 · 0 tokens left"),
    ],
)
def test_entry_of_a_menu_has_two_lines(model: Model, quota: QuotaStatus, text: str, *, is_current: bool) -> None:
    assert models.model_entry(model, quota, is_current=is_current) == text

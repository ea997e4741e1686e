"""Texts of /model and /models, as Markdown."""

from collections.abc import Iterable

from core.api.catalogue import Model
from core.conversation.ledger import QuotaStatus
from core.conversation.preferences import EffectivePreference
from core.scopes import Scope, ScopeKind
from core.texts.formatting import (
    count,
    escape_markdown,
    format_context_length,
    format_duration,
    quota_bar,
    quote,
    scope_label,
)

MODEL_UNAVAILABLE = "This model is no longer available. See /model for the current ones."
QUOTA_BAR_CHARS = 5


def model_features(model: Model) -> list[str]:
    features = (
        (model.has_reasoning, "reasoning"),
        (model.has_vision, "images"),
        (model.is_embedding_model, "embeddings only"),
    )
    return [label for has_feature, label in features if has_feature]


def describe_model(model: Model) -> str:
    """One plain line: name, context length, features."""
    return " · ".join((model.name, format_context_length(model.context_window), *model_features(model)))


def current_model(name: str, preference: EffectivePreference, replaced: str) -> str:
    """Above the menu of /model. `replaced` is the chosen model where that is no longer available, else ""."""
    if preference.scope is None:
        reason = "the default"
    else:
        reason = f"chosen for {scope_label(preference.scope)}"
        if preference.set_by and preference.scope.kind not in (ScopeKind.PERSON, ScopeKind.MEMBER):
            reason += f" by {escape_markdown(preference.set_by)}"
    if replaced:
        reason = f"in place of {escape_markdown(replaced)}, {reason}, which is no longer available"
    return f"Model: **{escape_markdown(name)}** ({reason}). Choose another:"


def model_changed(model: Model, scope: Scope) -> str:
    length = format_context_length(model.context_window)
    return f"Model: **{escape_markdown(model.name)}**, {length} tokens of context ({scope_label(scope)})"


def model_reset(name: str, reset_scope: Scope, scope: Scope | None) -> str:
    """`name` is the model that answers now; `scope` is where it was chosen, None: it is the default."""
    model = f"**{escape_markdown(name)}**"
    if scope is None:
        return f"Back to the default: {model}"
    return f"Model reset ({scope_label(reset_scope)}). {model}, chosen for {scope_label(scope)}, answers here."


def model_missing(scope_name: str) -> str:
    return f"Add the model's name: `/model NAME {scope_name}`. To remove the choice: `/model reset {scope_name}`."


def quota_used_up(seconds_until_reset: float) -> str:
    return f"No tokens are left of its quota for today. Quotas reset in {format_duration(seconds_until_reset)}."


def unknown_model(query: str, similar: Model | None) -> str:
    return f"No model matches {quote(query)}. {f'Did you mean `{similar.id}`?' if similar else 'See /models.'}"


def ambiguous_model(query: str, candidates: Iterable[Model]) -> str:
    return "\n".join([f"Several models match {quote(query)}. Choose one:", "", *(f"- `{m.id}`" for m in candidates)])


def embedding_model_chosen(model: Model) -> str:
    return f"{escape_markdown(model.name)} only searches notes and files; it can't answer. See /models."


def model_list(number: int, seconds_until_reset: float, entries: Iterable[str]) -> str:
    head = f"{count(number, 'model')}. Quotas reset in {format_duration(seconds_until_reset)}."
    return "\n".join([head, "", *entries])


def model_list_entry(model: Model, quota: QuotaStatus, *, is_current: bool) -> str:
    text = f"- {escape_markdown(describe_model(model))}"
    if quota.remaining is not None:
        text += f" · {format_context_length(quota.remaining)} tokens left"
    if quota.used_fraction:
        text += f" {quota_bar(quota.remaining_fraction, QUOTA_BAR_CHARS)}"
    return f"{text} ← current" if is_current else text


def no_model_listed(search: str) -> str:
    return f"No model matches {quote(search)}."

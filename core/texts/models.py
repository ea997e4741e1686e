"""Texts of /model and /models, as Markdown."""

from collections.abc import Iterable

from core.api.catalogue import Model
from core.conversation.ledger import QuotaStatus
from core.conversation.preferences import EffectivePreference
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.scopes import Scope, ScopeKind
from core.texts.formatting import (
    code_span,
    escape_markdown,
    format_context_window,
    format_duration,
    format_number,
    isolate,
    join_all,
    markdown_name,
    quota_bar,
    quote,
    scope_label,
)

MODEL_RETIRED = gettext_noop("This model is no longer available. See /model for the current ones.")
COMPARISON_USAGE = gettext_noop(
    "Name two models and a question: `/compare MODEL MODEL QUESTION`. Without a question, they answer your last one."
)
MODEL_LINKED = gettext_noop("The link that brought you here suggests a model. Press its button to use it in this chat.")
MODELS_LINKED = gettext_noop(
    "The link that brought you here matches several models. Press a button to use one in this chat."
)
LINKED_MODEL_MISSING = gettext_noop(
    "The link that brought you here suggests a model that is not offered here. See /models for the others."
)
CHOOSE_BUTTON = gettext_noop("Choose")
OTHER_MODELS = gettext_noop("Other models")
QUOTA_BAR_CHARS = 5
REASONING_MARK, VISION_MARK = "🧠", "👁"


def model_features(model: Model) -> list[str]:
    features = (
        (model.has_reasoning, gettext("reasoning")),
        (model.has_vision, gettext("pictures")),
        (model.is_embedding_model, gettext("embeddings only")),
    )
    return [label for has_feature, label in features if has_feature]


def describe_model(model: Model) -> str:
    """One plain line: name, context length, features."""
    return " · ".join((isolate(model.name), format_context_window(model.context_window), *model_features(model)))


def current_model(name: str, preference: EffectivePreference, replaced: str) -> str:
    """Above the menu of /model. `replaced` is the chosen model where that is no longer available, else ""."""
    if preference.scope is None:
        reason = gettext("the default")
    elif preference.set_by and preference.scope.kind not in (ScopeKind.PERSON, ScopeKind.MEMBER):
        reason = gettext("chosen for {scope} by {person}").format(
            scope=scope_label(preference.scope), person=markdown_name(preference.set_by)
        )
    else:
        reason = gettext("chosen for {scope}").format(scope=scope_label(preference.scope))
    if replaced:
        reason = gettext("in place of {model}, {reason}, which is no longer available").format(
            model=markdown_name(replaced), reason=reason
        )
    return gettext("Model: **{model}** ({reason}). Choose another:").format(model=markdown_name(name), reason=reason)


def model_changed(model: Model, scope: Scope) -> str:
    return gettext("Model: **{model}**, {length} tokens of context ({scope})").format(
        model=markdown_name(model.name), length=format_context_window(model.context_window), scope=scope_label(scope)
    )


def model_reset(name: str, reset_scope: Scope, scope: Scope | None) -> str:
    """`name` is the model that answers now; `scope` is where it was chosen, None: it is the default."""
    if scope is None:
        return gettext("Back to the default: **{model}**").format(model=markdown_name(name))
    return gettext("Model reset ({reset_scope}). **{model}**, chosen for {scope}, answers here.").format(
        reset_scope=scope_label(reset_scope), model=markdown_name(name), scope=scope_label(scope)
    )


def model_missing(scope_name: str) -> str:
    return gettext("Add the model's name: `/model NAME {scope}`. To remove the choice: `/model reset {scope}`.").format(
        scope=scope_name
    )


def quota_used_up(seconds_until_reset: float) -> str:
    return gettext("Its quota for today is used up. Quotas reset in {duration}.").format(
        duration=format_duration(seconds_until_reset)
    )


def unknown_model(query: str, similar: Model | None) -> str:
    if similar is None:
        return gettext("No model matches {query}. See /models.").format(query=quote(query))
    return gettext("No model matches {query}. Did you mean `{model}`?").format(query=quote(query), model=similar.id)


def ambiguous_model(query: str, candidates: Iterable[Model]) -> str:
    head = gettext("Several models match {query}. Choose one:").format(query=quote(query))
    return "\n".join([head, "", *(f"- `{model.id}`" for model in candidates)])


def several_models(query: str, commands: Iterable[str]) -> str:
    """Of a command that names several models. Buttons could not repeat its question, so the person copies one."""
    head = gettext("Several models match {query}. Send one of these instead:").format(query=quote(query))
    return "\n".join([head, "", *(f"- {code_span(command)}" for command in commands)])


def many_models_linked(search: str) -> str:
    """Above a menu of the best matches of a link."""
    return gettext(
        "The link that brought you here matches several models. Press a button to use one in this chat, or see all of "
        "them with `/models {search}`."
    ).format(search=search)


def same_model(model: Model) -> str:
    return gettext("Both names mean **{model}**. Name another model to compare it with.").format(
        model=markdown_name(model.name)
    )


def compared_heading(model_id: str) -> str:
    """Above the answer of one of the models that answer side by side."""
    return f"**{markdown_name(model_id.rpartition('/')[2])}**\n\n"


def use_model_button(name: str) -> str:
    return gettext("Use {model}").format(model=isolate(name))


def embedding_model_chosen(model: Model) -> str:
    return gettext("{model} only searches notes and files; it can't answer. See /models.").format(
        model=markdown_name(model.name)
    )


def model_list(number: int, seconds_until_reset: float, entries: Iterable[str]) -> str:
    head = ngettext(
        "{count} model. Quotas reset in {duration}.", "{count} models. Quotas reset in {duration}.", number
    ).format(count=format_number(number), duration=format_duration(seconds_until_reset))
    return "\n".join([head, "", *entries])


def model_list_entry(model: Model, quota: QuotaStatus, *, is_current: bool) -> str:
    text = f"- {escape_markdown(describe_model(model))}"
    if left := tokens_left(quota):
        text = f"{text} · {left}"
    if quota.used_fraction:
        text += f" {quota_bar(quota.remaining_fraction, QUOTA_BAR_CHARS)}"
    return gettext("{entry} ← current").format(entry=text) if is_current else text


def family_label(name: str, model_count: int) -> str:
    """In a menu of families."""
    number = ngettext("{count} model", "{count} models", model_count).format(count=format_number(model_count))
    return f"{isolate(name)} · {number}"


def model_label(model: Model) -> str:
    """In a menu of models."""
    facts = (isolate(model.name), format_context_window(model.context_window), " ".join(_marks(model)))
    return " · ".join(filter(None, facts))


def model_entry(model: Model, quota: QuotaStatus, *, is_current: bool) -> str:
    """Two lines: the name; context length, features and what is left of its quota."""
    name = f"**{markdown_name(model.name)}**"
    marks = _marks(model)
    features = " ".join([*marks, join_all(model_features(model))]) if marks else ""
    facts = filter(None, (format_context_window(model.context_window), features, tokens_left(quota)))
    title = gettext("{entry} ← current").format(entry=name) if is_current else name
    return f"{title}\n{' · '.join(facts)}"


def _marks(model: Model) -> list[str]:
    return [REASONING_MARK] * model.has_reasoning + [VISION_MARK] * model.has_vision


def tokens_left(quota: QuotaStatus) -> str:
    """What remains of today's quota; "" if it is unknown."""
    if quota.remaining is None:
        return ""
    number = quota.remaining if quota.remaining < 1000 else quota.remaining // 1000 * 1000  # as it is shown
    return ngettext("{tokens} token left", "{tokens} tokens left", number).format(tokens=format_context_window(number))


def no_model_listed(search: str) -> str:
    return gettext("No model matches {query}.").format(query=quote(search))

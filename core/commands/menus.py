"""The model picker: pages of a menu, and the actions its buttons carry."""

from collections.abc import Callable, Sequence

from core.api.catalogue import Model
from core.buttons import ButtonAction, encode_action
from core.conversation.model_registry import format_context_length
from core.port import Button, MenuItem

__all__ = ["model_by_action", "model_menu", "page_buttons"]


def model_action(model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL, model.id)


def model_by_action(models: Sequence[Model], action_id: str) -> Model | None:
    """The model that an option's action names, if it is still there."""
    return next((model for model in models if model_action(model) == action_id), None)


def model_menu(
    models: Sequence[Model], selected_id: str, page: int, page_size: int
) -> tuple[tuple[MenuItem, ...], tuple[Button, ...]]:
    """One page of options and the buttons that turn it."""
    page_count = max(1, -(-len(models) // page_size))
    page = page % page_count
    page_models = models[page * page_size : (page + 1) * page_size]
    items = tuple(
        MenuItem(
            f"{model.name} · {format_context_length(model.context_window)}",
            model_action(model),
            ", ".join(told for holds, told in model_features(model) if holds),
            is_selected=model.id == selected_id,
        )
        for model in page_models
    )
    return items, page_buttons(page, page_count, lambda number: encode_action(ButtonAction.SHOW_MODEL_MENU, number))


def model_features(model: Model) -> tuple[tuple[bool, str], ...]:
    return (model.has_reasoning, "reasons before it answers"), (model.has_vision, "sees images")


def page_buttons(page: int, page_count: int, action_for_page: Callable[[int], str]) -> tuple[Button, ...]:
    """The buttons that turn to another of `pages`; `action` takes the number of a page."""
    if page_count == 1:
        return ()
    here = Button(f"{page + 1}/{page_count}", action_for_page(page))
    forward = Button("▶", action_for_page((page + 1) % page_count))
    if page_count == 2:  # back is forward: no two buttons may carry the same action
        return here, forward
    return Button("◀", action_for_page((page - 1) % page_count)), here, forward

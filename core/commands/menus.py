"""The model picker: pages of a menu, and the actions its buttons carry."""

import hashlib
from collections.abc import Callable, Sequence

from core.api.catalogue import Model
from core.conversation.models import length
from core.port import Button, Option

__all__ = ["model_menu", "model_of", "turning"]

LONGEST_ACTION = 64  # bytes, the tightest platform's


def action(model: Model) -> str:
    plain = f"m:{model.id}"
    if len(plain.encode()) <= LONGEST_ACTION:
        return plain
    return f"m#{hashlib.blake2b(model.id.encode(), digest_size=12).hexdigest()}"


def model_of(models: Sequence[Model], pressed: str) -> Model | None:
    """The model that an option's action names, if it is still there."""
    return next((model for model in models if action(model) == pressed), None)


def model_menu(
    models: Sequence[Model], chosen: str, page: int, size: int
) -> tuple[tuple[Option, ...], tuple[Button, ...]]:
    """One page of options and the buttons that turn it."""
    pages = max(1, -(-len(models) // size))
    page = page % pages
    shown = models[page * size : (page + 1) * size]
    options = tuple(
        Option(
            f"{model.name} · {length(model.context)}",
            action(model),
            ", ".join(told for holds, told in abilities(model) if holds),
            chosen=model.id == chosen,
        )
        for model in shown
    )
    return options, turning(page, pages, lambda page: f"mp:{page}")


def abilities(model: Model) -> tuple[tuple[bool, str], ...]:
    return (model.reasons, "reasons before it answers"), (model.vision, "sees images")


def turning(page: int, pages: int, action: Callable[[int], str]) -> tuple[Button, ...]:
    """The buttons that turn to another of `pages`; `action` takes the number of a page."""
    if pages == 1:
        return ()
    here = Button(f"{page + 1}/{pages}", action(page))
    forward = Button("▶", action((page + 1) % pages))
    if pages == 2:  # back is forward: no two buttons may carry the same action
        return here, forward
    return Button("◀", action((page - 1) % pages)), here, forward

"""The model picker: a menu of all models, and a card with one family at a time.

The card is for platforms that have cards, where a menu takes only some models and no figures:

    [ Model: Llama-3.3-70B (the default) ]
    ( meta-llama · 3 models           v  )
    Llama-3.3-70B ← current
    128k · 480k tokens left
    Llama-4-Maverick                      ( Choose )
    430k · images · 100k tokens left
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.api.catalogue import Model
from core.buttons import ButtonAction, encode_action, short_digest
from core.commands.pages import paginate
from core.commands.request import CommandRequest, Reply
from core.conversation.ledger import QuotaStatus
from core.conversation.model_quotas import quotas_by_model
from core.conversation.preferences import EffectivePreference, with_available_model
from core.i18n.translation import gettext
from core.port import Button, Card, CardSection, MenuItem
from core.store.preferences import PreferenceName
from core.texts import models as texts
from core.texts.formatting import format_context_length

MAX_FAMILIES = 25
"""What the menu with the fewest items takes."""
CARD_PAGE_SIZE = 7
"""Models on one card, so that it stays within the limits of the platform with the smallest cards."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    name: str
    models: Sequence[Model]

    @property
    def digest(self) -> str:
        return short_digest(self.name)


async def menu_reply(request: CommandRequest, number: int, *, edits_message: bool = False) -> Reply:
    """Page `number` of all models; on a card, the family of the current one."""
    models, current = request.services.models, current_preference(request)
    page = paginate(current_first(models.chat_models(), current.value), number, request.capabilities.menu_page_size)
    buttons = page.buttons(partial(encode_action, ButtonAction.SHOW_MODEL_MENU))
    reply = Reply(_head(request), buttons, model_menu(page.items, current.value), edits_message=edits_message)
    if not request.capabilities.has_cards:
        return reply
    families = group_by_family(models.chat_models(), current.value)
    return replace(reply, card=await _card(request, families, families[0], 0)) if families else reply


async def family_reply(request: CommandRequest, digest: str, number: int) -> Reply:
    """Page `number` of one family, in place of the message whose menu was used."""
    current = current_preference(request).value
    families = group_by_family(request.services.models.chat_models(), current)
    family = next((family for family in families if family.digest == digest), None)
    if family is None:
        return await menu_reply(request, 0, edits_message=True)
    page = paginate(family.models, number, request.capabilities.menu_page_size)
    buttons = page.buttons(partial(_show_family, family))
    reply = Reply(_head(request), buttons, model_menu(page.items, current), edits_message=True)
    return replace(reply, card=await _card(request, families, family, number))


def group_by_family(models: Sequence[Model], current: str) -> list[ModelFamily]:
    """The family of the current model first, the others by name. If they are too many, small ones share one."""
    members: dict[str, list[Model]] = {}
    for model in current_first(models, current):
        members.setdefault(model.family, []).append(model)
    first = next(iter(members), "")
    if len(members) > MAX_FAMILIES:
        by_size = sorted(members, key=lambda name: (name != first, -len(members[name])))
        others = [model for name in by_size[MAX_FAMILIES - 1 :] for model in members.pop(name)]
        members[gettext(texts.OTHER_MODELS)] = others
    names = sorted(members, key=lambda name: (name != first, name.casefold()))
    return [ModelFamily(name, members[name]) for name in names]


async def _card(request: CommandRequest, families: Sequence[ModelFamily], family: ModelFamily, number: int) -> Card:
    ledger, current = request.services.ledger, current_preference(request).value
    page = paginate(family.models, number, CARD_PAGE_SIZE)
    quotas = await quotas_by_model(ledger, (await request.api_key()).key_id, page.items)
    menu = tuple(
        MenuItem(
            texts.family_label(each.name, len(each.models)),
            _show_family(each, 0),
            is_selected=each is family,
        )
        for each in families
    )
    sections = [CardSection(_head(request), menu=menu)]
    sections += [_section(model, quotas[model.id], is_current=model.id == current) for model in page.items]
    return Card(tuple(sections), page.buttons(partial(_show_family, family)))


def _show_family(family: ModelFamily, page: int) -> str:
    return encode_action(ButtonAction.SHOW_MODEL_FAMILY, f"{page}:{family.digest}")


def _section(model: Model, quota: QuotaStatus, *, is_current: bool) -> CardSection:
    choose = None if is_current else Button(gettext(texts.CHOOSE_BUTTON), choice_action(model))
    return CardSection(texts.model_card_entry(model, quota, is_current=is_current), choose)


def _head(request: CommandRequest) -> str:
    models, current = request.services.models, current_preference(request)
    replaced = models.display_name(current.unavailable_model) if current.unavailable_model else ""
    return texts.current_model(models.display_name(current.value), current, replaced)


def model_menu(models: Sequence[Model], current: str) -> tuple[MenuItem, ...]:
    return tuple(
        MenuItem(
            f"{model.name} · {format_context_length(model.context_window)}",
            choice_action(model),
            ", ".join(texts.model_features(model)),
            is_selected=model.id == current,
        )
        for model in models
    )


def current_first(models: Sequence[Model], current: str) -> list[Model]:
    return sorted(models, key=lambda model: model.id != current)


def current_preference(request: CommandRequest) -> EffectivePreference:
    """The model that answers the sender here."""
    return with_available_model(request.preferences, request.services.models).values[PreferenceName.MODEL]


def choice_action(model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL, model.id)

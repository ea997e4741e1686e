"""The model picker: a menu of families, then of the models of one family; and a card with both.

    Model: Llama-3.3-70B (the default)       Model: Llama-3.3-70B (the default)
    Llama-3.3-70B ← current                  Phi-3.5-mini
    128k · 480k tokens left                  128k · 500k tokens left
    ( ✓ Llama-3.3-70B · 128k )               Phi-4
    ( meta-llama · 3 models  )               16k · 300k tokens left
    ( microsoft · 2 models   )   press -->   ( Phi-3.5-mini · 128k )
    ( Qwen · 4 models        )               ( Phi-4 · 16k         )
    ( ◀ )  ( 1/2 )  ( ▶ )                    ( Back )

If all models fit one page, or if they are one family, the menu has them at once. The card is for platforms that have
cards: a menu of the families, and under it a text with a button for each model of one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.api.catalogue import Model
from core.buttons import ButtonAction, encode_action, short_digest
from core.commands.pages import paginate
from core.commands.request import CommandRequest, Reply
from core.conversation.ledger import QuotaStatus
from core.conversation.model_quotas import quotas_by_model
from core.conversation.preferences import EffectivePreference
from core.i18n.translation import gettext
from core.port import Button, Card, CardSection, MenuItem
from core.store.preferences import PreferenceName
from core.texts import models as texts
from core.texts.answers import BACK_BUTTON

MAX_FAMILIES = 25
"""What the menu with the fewest items takes."""
CARD_PAGE_SIZE = 7
"""Models on one card, so that it stays within the limits of the platform with the smallest cards."""
MAX_DESCRIBED_MODELS = 8
"""In the text above a menu, so that it stays one message."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    name: str
    models: Sequence[Model]

    @property
    def digest(self) -> str:
        return short_digest(self.name)


async def menu_reply(request: CommandRequest, number: int, *, edits_message: bool = False) -> Reply:
    """Page `number` of the families, or of the models where there are few; on a card, the family of the current one."""
    current = current_preference(request).value
    models = current_first(request.services.models.chat_models(), current)
    families, page_size = group_by_family(models, current), request.capabilities.menu_page_size
    show_page = partial(encode_action, ButtonAction.SHOW_MODEL_MENU)
    if len(models) <= page_size or len(families) == 1:
        page = paginate(models, number, page_size)
        reply = await _menu(request, page.items, page.buttons(show_page))
    else:
        listed = paginate(families, number, page_size - 1)
        reply = await _menu(request, models[:1], listed.buttons(show_page), listed.items)
    reply = replace(reply, edits_message=edits_message)
    if not request.capabilities.has_cards or not families:
        return reply
    return replace(reply, card=await _card(request, families, families[0], 0))


async def family_reply(request: CommandRequest, digest: str, number: int) -> Reply:
    """Page `number` of one family, in place of the message whose menu was used."""
    families = group_by_family(request.services.models.chat_models(), current_preference(request).value)
    family = next((family for family in families if family.digest == digest), None)
    if family is None:
        return await menu_reply(request, 0, edits_message=True)
    page = paginate(family.models, number, request.capabilities.menu_page_size)
    back = Button(gettext(BACK_BUTTON), encode_action(ButtonAction.SHOW_MODEL_MENU, 0))
    reply = await _menu(request, page.items, (*page.buttons(partial(_show_family, family)), back))
    card = await _card(request, families, family, number) if request.capabilities.has_cards else None
    return replace(reply, card=card, edits_message=True)


async def _menu(
    request: CommandRequest, models: Sequence[Model], buttons: tuple[Button, ...], families: Sequence[ModelFamily] = ()
) -> Reply:
    """Models, described in the text, and families to choose from."""
    current = current_preference(request).value
    described = models if len(models) <= MAX_DESCRIBED_MODELS else ()
    quotas = await _quotas(request, described)
    entries = [texts.model_entry(model, quotas[model.id], is_current=model.id == current) for model in described]
    menu = (*model_menu(models, current), *_family_menu(families))
    return Reply("\n\n".join((_head(request), *entries)), buttons, menu)


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
    current = current_preference(request).value
    page = paginate(family.models, number, CARD_PAGE_SIZE)
    quotas = await _quotas(request, page.items)
    sections = [CardSection(_head(request), menu=_family_menu(families, family))]
    sections += [_section(model, quotas[model.id], is_current=model.id == current) for model in page.items]
    return Card(tuple(sections), page.buttons(partial(_show_family, family)))


async def _quotas(request: CommandRequest, models: Sequence[Model]) -> dict[str, QuotaStatus]:
    return await quotas_by_model(request.services.ledger, (await request.api_key()).key_id, models)


def _family_menu(families: Sequence[ModelFamily], shown: ModelFamily | None = None) -> tuple[MenuItem, ...]:
    return tuple(
        MenuItem(
            texts.family_label(family.name, len(family.models)), _show_family(family, 0), is_selected=family is shown
        )
        for family in families
    )


def _show_family(family: ModelFamily, page: int) -> str:
    return encode_action(ButtonAction.SHOW_MODEL_FAMILY, f"{page}:{family.digest}")


def _section(model: Model, quota: QuotaStatus, *, is_current: bool) -> CardSection:
    choose = None if is_current else Button(gettext(texts.CHOOSE_BUTTON), choice_action(model))
    return CardSection(texts.model_entry(model, quota, is_current=is_current), choose)


def _head(request: CommandRequest) -> str:
    models, current = request.services.models, current_preference(request)
    replaced = models.display_name(current.unavailable_model) if current.unavailable_model else ""
    return texts.current_model(models.display_name(current.value), current, replaced)


def model_menu(
    models: Sequence[Model], current: str, action: Callable[[Model], str] | None = None
) -> tuple[MenuItem, ...]:
    """`action`: of the item of a model; None: `choice_action`."""
    encode = action or choice_action
    return tuple(MenuItem(texts.model_label(model), encode(model), is_selected=model.id == current) for model in models)


def current_first(models: Sequence[Model], current: str) -> list[Model]:
    return sorted(models, key=lambda model: model.id != current)


def current_preference(request: CommandRequest) -> EffectivePreference:
    """The model that answers the sender here."""
    return request.preferences.values[PreferenceName.MODEL]


def choice_action(model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL, model.id)

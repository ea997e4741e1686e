"""Several answers to one question: which is shown, and what the buttons under it do.

Retry keeps the earlier answers. They take turns in the same messages, and the one that is shown is the one in the
history:

    [an answer of the second model]
    (◀) (2/3 · Phi-4) (▶) (Retry) (Other model)
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from core.api.catalogue import Model
from core.buttons import ButtonAction, encode_action, short_digest
from core.commands.models import choose_model
from core.commands.pages import Page
from core.commands.permissions import default_scope
from core.commands.request import CommandRequest, Reply
from core.conversation.failover import fallback_models
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import Preferences
from core.i18n.translation import gettext
from core.port import Adapter, Button, Incoming, Place
from core.scopes import conversation_key_prefix
from core.services import Services
from core.store.answer_parts import list_sent_parts
from core.store.answers import (
    Question,
    Variant,
    get_answer,
    get_question,
    get_reasoning,
    list_variants,
    show_variant,
)
from core.store.database import Store
from core.store.retrying_store import RetryingStore
from core.store.turns import StoredTurn, find_turn_of_message, get_turn
from core.texts import answers as texts
from core.texts.models import MODEL_RETIRED
from core.turns.answer_files import files_buttons
from core.turns.claimed_turn import ClaimedTurn
from core.turns.question_buttons import edit_buttons, lasting_buttons, model_buttons

MAX_CHOICES = 4
"""Models that are offered under an answer; /model lists all."""


async def show_variant_reply(request: CommandRequest, turn: StoredTurn) -> Reply | None:
    """Show the answer of `turn` in place of the one whose button was pressed, also to the models."""
    store = request.services.store
    question = await store.read(get_question, turn.id)
    if question is None:
        return Reply(gettext(texts.ANSWER_NOT_STORED))
    reply = await _reply_in_place(request, question)
    if reply is None or reply.shown_turn is None:
        return reply
    return replace(reply, on_taken_over=partial(show_variant, conversation_id=turn.conversation_id, question=question))


async def choose_retry_model_reply(request: CommandRequest, turn: StoredTurn) -> Reply | None:
    """Offer some models that may answer the question again."""
    question = await request.services.store.read(get_question, turn.id)
    reply = (
        await _reply_in_place(request, question) if question is not None else Reply(gettext(texts.ANSWER_NOT_STORED))
    )
    if reply is None or reply.shown_turn is None:
        return reply
    variants = await request.services.store.read(list_variants, question.first_turn) if question is not None else []
    shown = next(variant for variant in variants if variant.turn_id == turn.id)
    needs_vision = question is not None and bool(question.images) and request.services.models.has_vision(shown.model)
    models = _other_models(request.services, shown.model, request.preferences.model, needs_vision=needs_vision)
    if not models:
        return Reply(gettext(texts.NO_OTHER_MODEL))
    choices = [
        Button(model.name, encode_action(ButtonAction.RETRY_WITH, f"{turn.id}:{short_digest(model.id)}"))
        for model in models
    ]
    back = Button(gettext(texts.BACK_BUTTON), encode_action(ButtonAction.SHOW_VARIANT, turn.id))
    note = "\n".join(filter(None, (reply.note, gettext(texts.CHOOSE_RETRY_MODEL))))
    return replace(reply, note=note, buttons=(*choices, back))


async def use_model_reply(request: CommandRequest, turn: StoredTurn) -> Reply:
    """Choose the model that gave this answer for the chat, and keep its answer in the history."""
    store, models = request.services.store, request.services.models
    question = await store.read(get_question, turn.id)
    variants = await store.read(list_variants, question.first_turn) if question is not None else []
    variant = next((variant for variant in variants if variant.turn_id == turn.id), None)
    if question is None or variant is None:
        return Reply(gettext(texts.ANSWER_NOT_STORED))
    model = next((model for model in models.chat_models() if model.id == variant.model), None)
    if model is None:
        return Reply(gettext(MODEL_RETIRED))
    await store.write(show_variant, turn.conversation_id, question)
    return await choose_model(request, model, await default_scope(request))


async def _reply_in_place(request: CommandRequest, question: Question) -> Reply | None:
    """The stored answer to `question`; None if its messages are being changed already."""
    services = request.services
    variants = await services.store.read(list_variants, question.first_turn)
    variant = next((variant for variant in variants if variant.turn_id == question.turn_id), None)
    if variant is None:
        return Reply(gettext(texts.ANSWER_NOT_STORED))
    pressed_in = await _find_pressed_turn(services.store, request.incoming)
    if pressed_in is not None and pressed_in.id != request.turn_id and not pressed_in.state.is_final:
        return None
    # Not looked up again: another press may take the messages over meanwhile, whose turn shows no answer yet.
    shown_in = await _check_pressed_answer(services.store, pressed_in, request.incoming, question.first_turn)
    pager = variant_buttons(variants, variant.turn_id, services.models)
    reply = await _answer_reply(services, request.adapter, request.incoming.place, request.preferences, question, pager)
    replaced_turn = shown_in.id if shown_in is not None and shown_in.id != request.turn_id else None
    return replace(reply, is_public=True, shown_turn=variant.turn_id, replaced_turn=replaced_turn)


async def _answer_reply(
    services: Services,
    adapter: Adapter,
    place: Place,
    preferences: Preferences,
    question: Question,
    pager: Sequence[Button],
) -> Reply:
    """The stored answer to `question`, with its note and buttons."""
    store, turn_id = services.store, question.turn_id
    text = await store.read(get_answer, turn_id)
    reasoning = await store.read(get_reasoning, turn_id)
    answered = await store.read(get_turn, turn_id)
    buttons = [*lasting_buttons(answered, ButtonAction.CONTINUE), *pager]
    if reasoning and preferences.shows_reasoning:
        buttons.append(Button(gettext(texts.REASONING_BUTTON), encode_action(ButtonAction.SHOW_REASONING, turn_id)))
    buttons += lasting_buttons(answered, ButtonAction.RETRY_WITH)
    buttons += await files_buttons(adapter, turn_id, text)
    if answered is not None:
        buttons += await edit_buttons(store, adapter, answered.incoming, turn_id, question.first_turn)
    buttons += model_buttons(adapter.capabilities(place))
    note = answered.note if answered is not None else ""
    return Reply(text, tuple(buttons), is_answer=True, note=note)


async def restore_answer(
    claimed: ClaimedTurn, services: Services, preferences: Preferences, question: Question
) -> bool:
    """Show the answer to `question` again, in the messages of this turn, and make them those of the answer's turn.

    False if there is no answer. Raises `DeliveryError`.
    """
    variants = await claimed.store.read(list_variants, question.first_turn)
    shown = next((variant.turn_id for variant in reversed(variants) if not variant.is_excluded), None)
    shown_question = None if shown is None else await claimed.store.read(get_question, shown)
    if shown is None or shown_question is None:
        return False
    if len(variants) > 1:
        pager = variant_buttons(variants, shown, services.models)
    else:
        pager = [Button(gettext(texts.RETRY_BUTTON), encode_action(ButtonAction.RETRY, shown))]
    place = claimed.turn.incoming.place
    reply = await _answer_reply(services, claimed.adapter, place, preferences, shown_question, pager)
    await claimed.deliver(reply.text, note=reply.note, buttons=reply.buttons, is_answer=True)
    await claimed.outbox.hand_over(shown)
    return True


async def find_pressed_answer(store: Store | RetryingStore, incoming: Incoming, first_turn: int) -> StoredTurn | None:
    """The turn whose messages show an answer to this question, one of which has the button that was pressed.

    None if the messages are ephemeral and there are several, because a press can change only its own.
    """
    return await _check_pressed_answer(store, await _find_pressed_turn(store, incoming), incoming, first_turn)


async def _check_pressed_answer(
    store: Store | RetryingStore, turn: StoredTurn | None, incoming: Incoming, first_turn: int
) -> StoredTurn | None:
    if turn is None or not await _shows_answer(store, turn, first_turn):
        return None
    return turn if await _can_change_all(store, turn, incoming) else None


async def _find_pressed_turn(store: Store | RetryingStore, incoming: Incoming) -> StoredTurn | None:
    """The turn to which the message with the pressed button belongs."""
    return await store.read(find_turn_of_message, conversation_key_prefix(incoming.place), incoming.message_id or "")


async def _shows_answer(store: Store | RetryingStore, turn: StoredTurn, first_turn: int) -> bool:
    question = await store.read(get_question, turn.id)
    return question is not None and question.first_turn == first_turn


async def _can_change_all(store: Store | RetryingStore, turn: StoredTurn, incoming: Incoming) -> bool:
    """Whether the press can change all messages of the turn; of ephemeral ones, only the pressed one."""
    if not incoming.is_confidential:
        return True
    sent = await store.read(list_sent_parts, turn.id)
    return {part.message_id for part in sent.values()} == {incoming.message_id}


def variant_buttons(variants: Sequence[Variant], shown_turn: int, models: ModelRegistry) -> list[Button]:
    """The pager with the name of the model that gave the answer, and how to get one more."""
    turn_ids = [variant.turn_id for variant in variants]
    page = Page(variants, turn_ids.index(shown_turn), len(variants))
    pager = page.buttons(lambda number: encode_action(ButtonAction.SHOW_VARIANT, turn_ids[number]))
    model = models.display_name(variants[page.number].model)
    return [
        *(replace(button, label=f"{button.label} · {model}") if "/" in button.label else button for button in pager),
        Button(gettext(texts.RETRY_BUTTON), encode_action(ButtonAction.RETRY, shown_turn)),
        Button(gettext(texts.OTHER_MODEL_BUTTON), encode_action(ButtonAction.CHOOSE_RETRY_MODEL, shown_turn)),
    ]


def _other_models(services: Services, answered_by: str, chosen: str, *, needs_vision: bool) -> list[Model]:
    """The chat's model, similar ones, and one that differs in whether it reasons."""
    models = [model for model in services.models.chat_models() if model.has_vision or not needs_vision]
    preferred = services.settings.fallbacks
    reference = services.models.get(answered_by)
    others = [model for model in models if reference is None or model.has_reasoning != reference.has_reasoning]
    similar = fallback_models(answered_by, models, preferred)[: MAX_CHOICES - 1]
    ids = [chosen, *similar, *fallback_models(answered_by, others, ())[:1]]
    known = {model.id: model for model in models}
    return [known[id_] for id_ in dict.fromkeys(ids) if id_ in known and id_ != answered_by][:MAX_CHOICES]

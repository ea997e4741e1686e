"""Suggests messages for what a person types in another chat: a question to a model, and their own last answers."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from core.conversation.preferences import Preferences, load_preferences, with_available_model
from core.conversation.redaction import find_api_key
from core.conversation.transcript import CONTINUE_PROMPT
from core.delivery.capped_splitter import CappedSplitter, OneMessageDialect
from core.delivery.model_dialect import answer_dialect, model_dialect
from core.i18n.translation import gettext, load_catalogue, speaking
from core.port import AccountKey, Adapter, Dialect, Incoming, Part
from core.scopes import chat_key, person_key
from core.services import Services
from core.store.own_answers import OwnAnswer, find_own_answers
from core.store.suggested_questions import save_suggested_question
from core.suggestions import Suggestion, Suggestions
from core.texts import suggestions as texts
from core.turns.access_control import Access, AccessControl
from core.turns.question_heading import as_heading

MAX_ANSWERS = 3
MAX_TITLE_CHARS = 60
MAX_DESCRIPTION_CHARS = 120


class Suggester:
    def __init__(
        self, services: Services, adapters: Mapping[AccountKey, Adapter], access_control: AccessControl
    ) -> None:
        self._services = services
        self._adapters = adapters
        self._access_control = access_control

    async def suggest(self, query: Incoming, *, allows_rich: bool) -> Suggestions | None:
        """See `core.suggestions.SupportsSuggestions`."""
        access = await self._access_control.check(query)
        if access is not Access.ALLOWED:
            self._access_control.log_denial(query, access)
            return None
        store, settings = self._services.store, self._services.settings
        preferences = await store.read(load_preferences, query, settings)
        person, chat, words = person_key(query.sender), chat_key(query.place), query.text.split()
        answers = await store.read(find_own_answers, person, chat, words, MAX_ANSWERS)
        adapter = self._adapters[query.place.account_key]
        dialect = answer_dialect(adapter, preferences.rich_mode) if allows_rich else model_dialect(adapter)
        # The whole chat would see the question before it turns out to be a key.
        has_question = bool(query.text.strip()) and find_api_key(query.text) is None
        with speaking(await load_catalogue(preferences.language)):
            items = [await _shared_answer(dialect, answer) for answer in answers]
            if has_question:
                items.insert(0, await self._question(adapter.dialect, query, preferences))
            return Suggestions(tuple(items), "" if has_question else gettext(texts.OPEN_CHAT))

    async def _question(self, dialect: Dialect, query: Incoming, preferences: Preferences) -> Suggestion:
        models = self._services.models
        model = models.display_name(with_available_model(preferences, models).model)
        question, token = query.text.strip(), secrets.token_urlsafe(12)
        await self._services.store.write(save_suggested_question, token, person_key(query.sender), question)
        return Suggestion(
            texts.ask_model(model),
            question,
            await _one_part(dialect, f"{as_heading(question)}*{gettext(texts.WAITING)}*"),
            gettext(texts.ASK_BUTTON),
            token,
        )


async def _shared_answer(dialect: Dialect, answer: OwnAnswer) -> Suggestion:
    part = await _one_part(dialect, answer.text)
    is_continuation = answer.question == CONTINUE_PROMPT  # the person has not written it
    title = _first_line(part.text if is_continuation else answer.question or part.text, MAX_TITLE_CHARS)
    return Suggestion(title, _first_line(part.text, MAX_DESCRIPTION_CHARS), part)


async def _one_part(dialect: Dialect, text: str) -> Part:
    """The beginning of `text` that fits one message."""
    first = await CappedSplitter(OneMessageDialect(dialect), 1).update_async(text)
    part = first.parts[0]
    return part if first.is_complete else replace(part, text=f"{part.text}\n\n…")


def _first_line(text: str, max_chars: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= max_chars else f"{words[:max_chars]}…"

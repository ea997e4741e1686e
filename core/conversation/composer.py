"""What a model is shown: instructions, the summary of what is long ago, the conversation, the
question; fitted to its window.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.api.client import Request
from core.conversation import window
from core.conversation.choices import Choices
from core.conversation.measure import Measure, Measures
from core.conversation.models import Models
from core.conversation.window import Fitted, PromptTooLongError
from core.store.database import Store
from core.store.summaries import Past, Summary, past

__all__ = ["Composed", "Composer"]

MOST_HISTORY = 2000  # messages looked at; what fits the window is far less
SUMMARISED = "Summary of the earlier part of this conversation:\n"


@dataclass(frozen=True, slots=True)
class Composed:
    request: Request
    fitted: Fitted
    past: Past
    measure: Measure
    context: int
    """The model's window, in tokens."""
    summarised: bool
    """The summary stands for what was left out."""

    @property
    def uncovered(self) -> tuple[tuple[int, str, str], ...]:
        """Messages that are neither shown nor in the summary."""
        upto = self.past.summary.upto if self.past.summary else 0
        left_out = self.past.messages[: self.fitted.left_out]
        return tuple(message for message in left_out if message[0] > upto)


class Composer:
    def __init__(self, store: Store, models: Models, measures: Measures) -> None:
        self._store = store
        self._models = models
        self.measures = measures

    async def compose(
        self,
        conversation: int,
        before: int | None,
        choices: Choices,
        prompt: str,
        model: str,
        *,
        context: int | None = None,
        replace: bool = False,
        more: Callable[[str], str] = str,
    ) -> Composed:
        """The request that asks `model`. `context`: tokens, if its window is not to be used up;
        `replace`: the last question is asked again; `more` adds to the instructions. Raises
        `PromptTooLongError` and `StoreError`.
        """
        said = await self._store.read(past, conversation, before, MOST_HISTORY)
        if replace:
            said = _without_last(said)
        measure = await self.measures.of(model, conversation)
        context = context or self._models.context(model)
        history = [(role, text) for _, role, text in said.messages]

        def fit(system: str) -> Fitted:
            return window.fit(
                system, history, prompt,
                context=context, answer=choices.longest, measure=measure,
            )  # fmt: skip

        system = more(choices.system)
        fitted = fit(system)
        summarised = False
        if fitted.left_out and said.summary is not None:
            # The question comes first: where both do not fit there is no summary.
            with contextlib.suppress(PromptTooLongError):
                fitted = fit(_with_summary(system, said.summary))
                summarised = True
        request = Request(
            model,
            fitted.messages,
            temperature=choices.temperature,
            # The service counts what may be answered as part of the window.
            max_tokens=min(choices.longest, fitted.room(context)) or None,
            reasoning_effort=choices.effort,
            reasons=bool((known := self._models.get(model)) and known.reasons),
        )
        return Composed(request, fitted, said, measure, context, summarised)


def _with_summary(system: str, summary: Summary) -> str:
    return f"{system}\n\n{SUMMARISED}{summary.text}".strip()


def _without_last(said: Past) -> Past:
    questions = [index for index, (_, role, _) in enumerate(said.messages) if role == "user"]
    return Past(said.messages[: questions[-1]], said.summary) if questions else said

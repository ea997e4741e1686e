"""/compare: two models answer the same question side by side."""

from dataclasses import dataclass

from core.api.catalogue import Model
from core.commands.request import CommandRequest, Reply
from core.conversation.model_registry import ModelRegistry
from core.i18n.translation import gettext
from core.texts import models as texts


@dataclass(frozen=True, slots=True)
class Comparison:
    first: Model
    second: Model
    question: str
    """Empty: the last one of the conversation."""


def parse_comparison(models: ModelRegistry, argument: str) -> Comparison | str:
    """What `MODEL MODEL [QUESTION]` asks for; or why nothing, as Markdown."""
    first, second, question = (*argument.split(maxsplit=2), "", "", "")[:3]
    if not second:
        return gettext(texts.COMPARISON_USAGE)
    found: list[Model] = []
    for query in (first, second):
        match = models.find(query)
        if match.model is None:
            is_unknown = not match.candidates
            return (
                texts.unknown_model(query, match.similar)
                if is_unknown
                else texts.several_models(query, match.candidates)
            )
        found.append(match.model)
    if found[0] == found[1]:
        return texts.same_model(found[0])
    return Comparison(found[0], found[1], question.strip())


async def compare_reply(request: CommandRequest) -> Reply:
    """Why there is nothing to compare: otherwise, the command would have become two questions."""
    comparison = parse_comparison(request.services.models, request.argument)
    return Reply(comparison if isinstance(comparison, str) else gettext(texts.COMPARISON_USAGE))

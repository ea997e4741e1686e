"""/compare: two models answer the same question side by side."""

from dataclasses import dataclass

from core.api.catalogue import Model
from core.commands.request import CommandRequest, Reply
from core.conversation.model_registry import ModelRegistry
from core.i18n.translation import gettext
from core.texts import models as texts

MAX_REPEATED_CHARS = 100


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
    for query, before, after in ((first, (), (second,)), (second, (first,), ())):
        match = models.find(query)
        if match.model is None and not match.candidates:
            return texts.unknown_model(query, match.similar)
        if match.model is None:
            commands = [(*before, model.id, *after, _repeat(question)) for model in match.candidates]
            return texts.several_models(query, (f"/compare {' '.join(words)}" for words in commands))
        found.append(match.model)
    if found[0] == found[1]:
        return texts.same_model(found[0])
    return Comparison(found[0], found[1], question.strip())


def _repeat(question: str) -> str:
    """The question, to copy with a command; "…" for one that has several lines or is long."""
    is_short = len(question) <= MAX_REPEATED_CHARS and question.isprintable() and "`" not in question
    return question if is_short else "…"


async def compare_reply(request: CommandRequest) -> Reply:
    """Why there is nothing to compare: otherwise, the command would have become two questions."""
    comparison = parse_comparison(request.services.models, request.argument)
    return Reply(comparison if isinstance(comparison, str) else gettext(texts.COMPARISON_USAGE))

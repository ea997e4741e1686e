"""Shell commands that change the model service behind the bots."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.answer_shapes import AnswerShape
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES
from bots.sandbox.model.faults import ReasoningFormat
from bots.sandbox.model.refusals import FAULTS, refuse
from bots.sandbox.model.strictness import Strictness
from bots.sandbox.shell import ShellCommand
from core.api.catalogue import Model, find_model

MIN_WINDOW_TOKENS = 512
MAX_TOKENS_PER_SECOND = 1000
REJECTABLE_FIELDS = ("stream_options", "max_completion_tokens", "max_tokens", "temperature", "reasoning_effort")
OFF = "off"
REASONING_FORMATS = {
    "field": ReasoningFormat.REASONING_CONTENT_FIELD,
    "think": ReasoningFormat.THINK_TAGS,
    "bracket": ReasoningFormat.BRACKET_TAGS,
    "prefix": ReasoningFormat.PREFIXED_TAGS,
    "upper": ReasoningFormat.UPPERCASE_TAGS,
    "final": ReasoningFormat.FINAL_TAG,
    "unclosed": ReasoningFormat.OPENING_TAG_ONLY,
    "silent": ReasoningFormat.SILENT,
}
PERSONAL_KEY = "io-v2-a-key-of-your-own"


async def forget_nothing() -> None: ...


def model_commands(
    service: ModelStandIn, forget_day: Callable[[], Awaitable[None]] = forget_nothing
) -> list[ShellCommand]:
    """`forget_day` makes the bot forget what it knows of the quotas of today, and may raise `ValueError`."""
    service.add_account(PERSONAL_KEY)

    def find(query: str) -> Model:
        model = find_model(list(service.models.values()), query).model
        if model is None:
            raise ValueError(f"{query!r} matches no model, or several." if query else "Which model?")
        return model

    async def use_up_quota(query: str) -> str:
        model = find(query)
        service.quotas[model.id] = service.usage.tokens_used(api_key=service.api_key, model=model.id)
        return f"Today's quota of {model.id} is used up."

    async def remove(query: str) -> str:
        model = find(query)
        service.models.pop(model.id)
        return f"The service no longer offers {model.id}."

    async def shrink_window(argument: str) -> str:
        query, _, tokens = argument.rpartition(" ")
        if not tokens.isascii() or not tokens.isdigit() or int(tokens) < MIN_WINDOW_TOKENS:
            raise ValueError(f"How many tokens? Usage: :window MODEL TOKENS, with at least {MIN_WINDOW_TOKENS} tokens")
        model = find(query)
        service.models[model.id] = replace(model, context_window=int(tokens))
        return f"{model.id} now refuses requests over {int(tokens):,} tokens."

    async def start_day(_argument: str) -> str:
        service.usage.start_new_day()
        service.quotas.clear()
        await forget_day()
        return "A new day: the quotas are full again."

    async def set_speed(argument: str) -> str:
        if not argument.isascii() or not argument.isdigit() or not 1 <= int(argument) <= MAX_TOKENS_PER_SECOND:
            raise ValueError(f"How many tokens per second? From 1 to {MAX_TOKENS_PER_SECOND}")
        service.tokens_per_second = float(argument)
        return f"The models write {argument} tokens per second."

    async def show_key(_argument: str) -> str:
        return f"The service accepts this key, too: {PERSONAL_KEY}"

    return [
        ShellCommand(":quota MODEL", "Use up today's quota of a model", use_up_quota),
        ShellCommand(":gone MODEL", "Remove a model from the service", remove),
        ShellCommand(":window MODEL TOKENS", "Make a context window smaller than announced", shrink_window),
        ShellCommand(":day", "Begin a new day, with full quotas", start_day),
        ShellCommand(":speed TOKENS", "Set the tokens per second", set_speed),
        *_strictness_commands(service),
        *_answer_commands(service),
        _repair_command(service, forget_day),
        ShellCommand(":key", "Show an API key for /key", show_key),
    ]


def _repair_command(service: ModelStandIn, forget_day: Callable[[], Awaitable[None]]) -> ShellCommand:
    original_models, original_speed = dict(service.models), service.tokens_per_second
    original_overflow_response = service.overflow_response

    async def repair(_argument: str) -> str:
        returning = [model.name for model in original_models.values() if model.id not in service.models]
        service.fault_hook = None
        service.planned_faults.clear()
        service.quotas.clear()
        service.models |= original_models
        service.strictness = Strictness()
        service.answer_shape = AnswerShape.STREAM
        service.reasoning_format = ReasoningFormat.REASONING_CONTENT_FIELD
        service.overflow_response = original_overflow_response
        service.tokens_per_second = original_speed
        await forget_day()
        notice = "The service works again as it did at the start."
        if returning:
            models = ", ".join(returning)
            notice += (
                f" It offers {models} again: chats that switched to another model can choose it again with /model."
            )
        return notice

    return ShellCommand(":repair", "Undo all of this", repair)


def _strictness_commands(service: ModelStandIn) -> list[ShellCommand]:
    async def switch_system_role(_argument: str) -> str:
        strictness = service.strictness
        strictness.rejects_system_role = not strictness.rejects_system_role
        return f"The service {'rejects' if strictness.rejects_system_role else 'accepts'} the system role."

    async def switch_alternation(_argument: str) -> str:
        strictness = service.strictness
        strictness.requires_alternation = not strictness.requires_alternation
        return f"Questions and answers {'must' if strictness.requires_alternation else 'need not'} alternate."

    async def switch_field(field: str) -> str:
        if field not in REJECTABLE_FIELDS:
            raise ValueError(f"Which field? One of {', '.join(REJECTABLE_FIELDS)}")
        strictness = service.strictness
        strictness.rejected_fields ^= {field}
        return f"The service {'rejects' if field in strictness.rejected_fields else 'accepts'} {field}."

    return [
        ShellCommand(":system", "Reject the system role, or accept it again", switch_system_role),
        ShellCommand(":alternate", "Require questions and answers to alternate, or no longer", switch_alternation),
        ShellCommand(":reject FIELD", "Reject a field of requests, or accept it again", switch_field),
    ]


def _answer_commands(service: ModelStandIn) -> list[ShellCommand]:
    async def set_shape(name: str) -> str:
        service.answer_shape = AnswerShape(_choose(name, tuple(AnswerShape)))
        return f"Answers come as: {service.answer_shape}."

    async def set_reasoning(name: str) -> str:
        service.reasoning_format = REASONING_FORMATS[_choose(name, tuple(REASONING_FORMATS))]
        return f"Reasoning comes as: {service.reasoning_format}."

    async def set_refusal(name: str) -> str:
        chosen = _choose(name, (*FAULTS, OFF))
        service.fault_hook = None if chosen == OFF else refuse(chosen)
        return "The service answers again." if chosen == OFF else f"The service answers every question with: {chosen}."

    async def set_overflow(name: str) -> str:
        service.overflow_response = OVERFLOW_RESPONSES[_choose(name, tuple(OVERFLOW_RESPONSES))]
        return f"Requests that are too long now get the error text of {name}."

    return [
        ShellCommand(":overflow WORDS", "Refuse what exceeds a context window in other words", set_overflow),
        ShellCommand(":shape SHAPE", "Send answers in another form, such as parts, object or damaged", set_shape),
        ShellCommand(":reasoning FORM", "Send the reasoning in another form, such as bracket or silent", set_reasoning),
        ShellCommand(
            ":refuse REASON", "Fail all questions, such as region, credit, rate or stall; off: no more", set_refusal
        ),
    ]


def _choose(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise ValueError(f"Which? One of {', '.join(names)}")
    return name

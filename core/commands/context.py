"""/context: what fills the model's context window."""

from dataclasses import dataclass

from core.commands.request import CommandRequest, Reply
from core.conversation.composer import ComposedRequest
from core.conversation.context_window import PromptTooLongError, answer_reserve
from core.i18n.translation import gettext
from core.markdown.text_table import display_width
from core.store.history import count_answers_before
from core.store.memories import RecallMode, get_conversation_key, get_statistics
from core.texts import commands as texts
from core.texts.formatting import format_number

BAR_WIDTH_CHARS = 24
MIN_LABEL_COLUMNS = 19


@dataclass(frozen=True, slots=True)
class ContextShare:
    """A part of the window: a symbol in the bar and a line below it."""

    symbol: str
    label: str
    tokens: int


async def context_reply(request: CommandRequest) -> Reply:
    services, preferences = request.services, request.preferences
    name = services.models.display_name(preferences.model)
    try:
        composed = await services.composer.compose(request.conversation_id, None, preferences, "", preferences.model)
    except PromptTooLongError as error:
        return Reply(texts.instructions_exceed_context(name, error))
    shares = _measure_shares(composed, preferences.system_prompt, preferences.max_answer_tokens)
    text = texts.context_usage(name, composed.context_tokens, _draw_chart(shares, composed.context_tokens))
    if omitted := await _count_omitted(request, composed):
        text += f"\n\n{texts.messages_omitted(omitted, has_summary=composed.has_summary)}"
    conversation_key = await services.store.read(get_conversation_key, request.conversation_id)
    memory = await services.store.read(get_statistics, conversation_key)
    if memory.recall_mode is not RecallMode.OFF and (memory.note_count or memory.file_count):
        text += f"\n\n{texts.memory_beside_context(memory.note_count, memory.file_count)}"
    return Reply(text)


async def _count_omitted(request: CommandRequest, composed: ComposedRequest) -> int:
    """The messages that do not fit, also those that were not loaded."""
    if not composed.prompt.omitted:
        return 0
    oldest = composed.history.messages[0].id
    answers = await request.services.store.read(count_answers_before, request.conversation_id, oldest)
    return composed.prompt.omitted + 2 * answers


def _measure_shares(composed: ComposedRequest, instructions: str, max_answer_tokens: int) -> list[ContextShare]:
    """The answer comes last."""
    instruction_tokens = _estimate_tokens(composed, instructions)
    summary_tokens = _estimate_tokens(composed, composed.history.summary.text) if composed.has_summary else 0
    message_count = len(composed.history.messages) - composed.prompt.omitted
    message_tokens = max(0, composed.prompt.estimated_tokens - instruction_tokens - summary_tokens)
    return [
        ContextShare("▓", gettext("instructions"), instruction_tokens),
        ContextShare("▒", gettext("summary"), summary_tokens),
        ContextShare(
            "█",
            gettext("messages ({count})").format(count=format_number(message_count)),
            message_tokens if message_count else 0,
        ),
        ContextShare("·", gettext("reserved for answer"), answer_reserve(composed.context_tokens, max_answer_tokens)),
    ]


def _estimate_tokens(composed: ComposedRequest, text: str) -> int:
    return round(composed.estimator.estimate_text(text)) if text else 0  # no message, no overhead


def _draw_chart(shares: list[ContextShare], context_tokens: int) -> str:
    free = ContextShare("░", gettext("free"), max(0, context_tokens - sum(share.tokens for share in shares)))
    shown = [share for share in (*shares, free) if share.tokens]
    label_width = max(MIN_LABEL_COLUMNS, *(display_width(share.label) for share in shown))
    lines = [
        f"{share.symbol} {share.label}{' ' * (label_width - display_width(share.label))} "
        f"{format_number(share.tokens):>8}"
        for share in shown
    ]
    return "\n".join(["```", _draw_bar(shares, context_tokens), "", *lines, "```"])


def _draw_bar(shares: list[ContextShare], context_tokens: int) -> str:
    """What is used fills the bar from the left, the answer from the right."""

    def segment(share: ContextShare) -> str:
        return share.symbol * max(int(share.tokens > 0), round(share.tokens / context_tokens * BAR_WIDTH_CHARS))

    *used, answer = map(segment, shares)
    room = BAR_WIDTH_CHARS - len(answer)
    return "".join(used)[:room].ljust(room, "░") + answer

"""/context: how full the model's window is, and with what."""

from core.commands.reply import Reply
from core.commands.request import CommandRequest, escape_markdown, pluralize
from core.conversation.context_window import PromptTooLongError, answer_reserve
from core.conversation.turn_services import TurnServices

__all__ = ["ContextCommand"]

BAR_WIDTH_CHARS = 24  # characters of the bar


class ContextCommand:
    def __init__(self, services: TurnServices) -> None:
        self._services = services

    async def handle(self, request: CommandRequest) -> Reply:
        choices = request.choices
        name = escape_markdown(self._services.registry.display_name(choices.model))
        try:
            composed = await self._services.composer.compose(request.conversation_id, None, choices, "", choices.model)
        except PromptTooLongError as error:
            return Reply(
                f"The instructions alone are about {error.needed:,} tokens long; {name} has room "
                f"for {error.available:,}."
            )
        fitted, measure, window = composed.prompt, composed.estimator, composed.context_tokens
        instruction_tokens = round(measure.estimate_text(choices.system_prompt))
        summary_tokens = 0
        if composed.has_summary and composed.history.summary is not None:
            summary_tokens = round(measure.estimate_text(composed.history.summary.text))
        shown_count = len(composed.history.messages) - fitted.omitted
        message_tokens = max(0, fitted.estimated_tokens - instruction_tokens - summary_tokens) if shown_count else 0
        answer_tokens = answer_reserve(window, choices.max_answer_tokens)
        rows = (
            ("▓", "instructions", instruction_tokens, ""),
            ("▒", "summary", summary_tokens, ""),
            ("█", "messages", message_tokens, f" ({shown_count})"),
            ("·", "kept for the answer", answer_tokens, ""),
        )
        lines = [f"{mark} {what:<19} {tokens:>8,}{more}" for mark, what, tokens, more in rows if tokens]
        free = max(0, window - sum(tokens for _, _, tokens, _ in rows))
        lines.append(f"░ {'free':<19} {free:>8,}")
        text = (
            f"**{name}** sees {window:,} tokens, about:\n\n"
            f"```\n{_draw_bar(rows, window)}\n\n" + "\n".join(lines) + "\n```"
        )
        if fitted.omitted:
            older = f"{fitted.omitted} older {pluralize(fitted.omitted, 'message')}"
            stands = "stands for" if composed.has_summary else "will stand for"
            text += f"\n\n{older} no longer fit; a summary {stands} them. All are kept."
        return Reply(text)


def _draw_bar(rows: tuple[tuple[str, str, int, str], ...], window: int) -> str:
    bar = ""
    for mark, _, tokens, _ in rows[:-1]:
        bar += mark * max(int(tokens > 0), round(tokens / window * BAR_WIDTH_CHARS))
    mark, _, answer, _ = rows[-1]
    answer_bar = mark * max(1, round(answer / window * BAR_WIDTH_CHARS))
    return bar[: BAR_WIDTH_CHARS - len(answer_bar)].ljust(BAR_WIDTH_CHARS - len(answer_bar), "░") + answer_bar

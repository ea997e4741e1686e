"""/context: how full the model's window is, and with what."""

from core.commands.asking import Asking, literal, plural
from core.commands.reply import Reply
from core.conversation.resources import Resources
from core.conversation.window import PromptTooLongError, answer_room

__all__ = ["Context"]

WIDTH = 24  # characters of the bar


class Context:
    def __init__(self, with_: Resources) -> None:
        self._with = with_

    async def context(self, asking: Asking) -> Reply:
        choices = asking.choices
        name = literal(self._with.models.name(choices.model))
        try:
            composed = await self._with.composer.compose(
                asking.conversation, None, choices, "", choices.model
            )
        except PromptTooLongError as error:
            return Reply(
                f"The instructions alone are about {error.needed:,} tokens long; {name} has room "
                f"for {error.room:,}."
            )
        fitted, measure, window = composed.fitted, composed.measure, composed.context
        instructions = round(measure.text(choices.system))
        summary = 0
        if composed.summarised and composed.past.summary is not None:
            summary = round(measure.text(composed.past.summary.text))
        shown = len(composed.past.messages) - fitted.left_out
        said = max(0, fitted.estimate - instructions - summary) if shown else 0
        answer = answer_room(window, choices.longest)
        rows = (
            ("▓", "instructions", instructions, ""),
            ("▒", "summary", summary, ""),
            ("█", "messages", said, f" ({shown})"),
            ("·", "kept for the answer", answer, ""),
        )
        lines = [
            f"{mark} {what:<19} {tokens:>8,}{more}" for mark, what, tokens, more in rows if tokens
        ]
        free = max(0, window - sum(tokens for _, _, tokens, _ in rows))
        lines.append(f"░ {'free':<19} {free:>8,}")
        text = (
            f"**{name}** sees {window:,} tokens, about:\n\n"
            f"```\n{_picture(rows, window)}\n\n" + "\n".join(lines) + "\n```"
        )
        if fitted.left_out:
            older = f"{fitted.left_out} older {plural(fitted.left_out, 'message')}"
            stands = "stands for" if composed.summarised else "will stand for"
            text += f"\n\n{older} no longer fit; a summary {stands} them. All are kept."
        return Reply(text)


def _picture(rows: tuple[tuple[str, str, int, str], ...], window: int) -> str:
    drawn = ""
    for mark, _, tokens, _ in rows[:-1]:
        drawn += mark * max(int(tokens > 0), round(tokens / window * WIDTH))
    mark, _, answer, _ = rows[-1]
    kept = mark * max(1, round(answer / window * WIDTH))
    return drawn[: WIDTH - len(kept)].ljust(WIDTH - len(kept), "░") + kept

"""The growing answer at the bottom of the terminal.

Only what fits on the screen is drawn: lines that have left it cannot be erased, so each change would add a copy.
"""

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment

from bots.rich_markdown import Markdown

REFRESHES_PER_SECOND = 12


class LiveAnswer:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._text = ""

    @property
    def is_shown(self) -> bool:
        return self._live is not None

    def show(self, text: str) -> None:
        """Show the end of `text` in place of what was shown before."""
        self._text = text
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=REFRESHES_PER_SECOND, transient=True)
            self._live.start()
        self._live.update(LastLines(Markdown(text)))

    def finish(self, text: str) -> None:
        """Print the whole `text` instead."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._console.print(Markdown(text))

    def abandon(self) -> None:
        """Print what was shown last."""
        if self._live is not None:
            self.finish(self._text)


class LastLines:
    """As many of the last lines of `content` as fit on the screen above the cursor's line."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options, pad=False)
        for line in lines[1 - options.size.height :]:
            yield from line
            yield Segment.line()

"""Splits a growing text into parts that each fit one message; only the last part still changes.

A part is full when one more character would not fit. The cut (`core.delivery.cut_finder`) depends only on the part's
text and that character. With 10 characters per message:

    update("Hi. You")           ->  "Hi. You"                      one open part
    update("Hi. You are he")    ->  "Hi. You", "are he"            "Hi. You ar" is full, the cut is after a word
    update("Hi. You are here")  ->  "Hi. You", "are here"

A part grows in steps. Whether a step fits is decided once, when all its characters are there, because half of it may be
larger than all of it. So a closed part never changes, whatever text follows and in whatever pieces. While the text is
growing, the part is shown up to where it fits. When the text ends, the last steps are decided with what there is.

Two techniques avoid parsing the whole part again on every update:

- Strides: the steps double, but take at most half of the room that is left. After the first that does not fit, they are
  halved.
- Settled blocks: a block that is followed by another can no longer change. Only what follows it is parsed again
  (`core.delivery.part_parser`).

The work for a text is proportional to its length, whatever it is (`*****...` looks different after each character).
Each step of growth and of the search for a cut is charged. A part that costs much is full a little earlier, one that
costs still more is full at once, and when the parts so far were too expensive for their length, the next one is plain
text: it shows its source, cut at fixed lengths. All this depends on the text alone, so it keeps the parts a pure
function of it. A part that cannot be rendered because of a defect is plain text, too.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import regex

from core.delivery.cut_finder import Cut, CutFinder
from core.delivery.part_parser import PartParser
from core.markdown.document import Block, Document
from core.markdown.parser import estimate_work, normalise_text
from core.markdown.plain_text import plain_paragraph
from core.markdown.references import Definitions, find_definitions, link_references, may_define
from core.port import Dialect, Part

MAX_INLINE_CHARS = 1000
MAX_INLINE_WORK = 40_000
"""An update that adds more characters, or probably costs more work (some milliseconds), runs in a thread."""
MAX_SOURCE_RATIO = 8
"""A part is full with this many characters of source per unit of its limit, whatever they show."""
MAX_GRAPHEME_CHARS = 256
GRAPHEME_PATTERN = regex.compile(r"\X")
MIN_STRIDE_RATIO = 128
"""A part is full when 1/128 of its limit may not fit: the search for the last character would cost a third of all."""
MAX_PART_WORK = 600
"""After this work per unit of its allowance, a part is full."""
BASE_ALLOWANCE = 1000
"""A part's allowance is its limit and this: small parts cost more for each of their characters."""
INITIAL_WORK = 30_000_000
WORK_PER_CHAR = 300
"""A part is plain text if those before it cost more than `INITIAL_WORK` and this for each of their characters."""
START_OF_TEXT = Cut(0, 0)
SPLIT_THREADS = 2
EXECUTOR = ThreadPoolExecutor(SPLIT_THREADS, "splitter")
"""Own threads: long splits must not delay what uses asyncio's default threads, such as looking up host names."""


@dataclass(frozen=True, slots=True)
class _Rendering:
    """The open part, as if it ended at a certain position."""

    part: Part
    size: int
    cost: int
    """See `ParsedPart.cost`."""


class Splitter:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._allowance = dialect.limit + BASE_ALLOWANCE
        self._max_stride = max(1, dialect.limit // 2)
        self._text = ""
        self._source = ""
        self._open_work = 0
        """What showing the open part cost last time."""
        self.is_cancelled = False
        """Whether a split was abandoned, so that the splitter is of no more use."""
        self._finished_work = 0
        """The work for earlier parts."""
        self.failure: Exception | None = None
        """The defect in the parser or the dialect that made a part plain text."""
        self._part_start = START_OF_TEXT
        self._parser = PartParser(0)
        self._restart()

    @property
    def work(self) -> int:
        """The cost of all that was parsed and rendered so far, in characters of prose."""
        return self._finished_work + self._parser.work

    async def update_async(self, text: str, *, is_growing: bool = False) -> tuple[Part, ...]:
        """Like `update`, but splits in a thread if that may take long."""
        if self._is_cheap(text):
            return self.update(text, is_growing=is_growing)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(EXECUTOR, partial(self.update, text, is_growing=is_growing))
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise

    def _is_cheap(self, text: str) -> bool:
        addition = text.removeprefix(self._source)
        # The open part may be parsed twice: once for a step of growth.
        return len(addition) <= MAX_INLINE_CHARS and 2 * (self._open_work + estimate_work(addition)) <= MAX_INLINE_WORK

    def update(self, text: str, *, is_growing: bool = False) -> tuple[Part, ...]:
        """The parts of `text`, the whole text so far. Starts again if it does not continue the previous text.

        With `is_growing`, all but the last part are the same for every text that begins with `text`. The last one may
        then lack the newest characters.
        """
        self._read(text)
        self._advance(is_growing)
        last = self._open_part
        parts = (*self._closed_parts, last) if last.text.strip() else tuple(self._closed_parts)
        if not parts and text.strip():
            # Markup without content (a lone "#"): show its source rather than nothing.
            return (self._render_plain(text.strip()),)
        return parts

    def _read(self, source: str) -> None:
        """Append what is new in `source` to the text."""
        addition = source.removeprefix(self._source)
        if not source.startswith(self._source) or (self._has_ended and addition):
            self._restart()
            self._source = self._text = ""
            addition = source
        elif addition and len(self._text) > self._fit_end:
            self._renderings.pop(len(self._text), None)
        if addition.startswith("\n") and self._source.endswith("\r"):
            addition = addition[1:]
        self._source = source
        self._text += normalise_text(addition)

    def _restart(self) -> None:
        self._closed_parts: list[Part] = []
        self._definitions: Definitions = {}
        """The addresses of reference links that closed parts define."""
        self._closed_cost = 0
        """What closing the closed parts cost. Depends on their text alone, not on the steps in which it grew."""
        self.has_plain_part = False
        """Whether a part is plain text because of its cost, or of a failure."""
        self._has_ended = False
        """Whether steps were decided without all their characters, so that no text may follow."""
        self._part_start = START_OF_TEXT  # not where the last part of another text began
        self._begin_part(START_OF_TEXT)

    def _begin_part(self, cut: Cut, *, is_plain: bool = False) -> None:
        # The next part is probably as long: a first step far beyond it would be costly and fail.
        previous_chars = cut.resume_at - self._part_start.resume_at or self._max_stride
        self._part_start = cut
        self._part_cost = 0
        work_per_char = WORK_PER_CHAR * self._allowance / self._dialect.limit
        self._finished_work += self._parser.work
        self._is_plain = is_plain or self._closed_cost > INITIAL_WORK + work_per_char * cut.resume_at
        self._plain_chars = max(1, self._dialect.limit // 2)
        self._fit_end = cut.resume_at
        """Text up to here fits the part."""
        self._parser = PartParser(cut.resume_at, cut.prefix(), cut.open_blocks)
        self._stride = max(1, min(self._max_stride, previous_chars))
        self._is_nearly_full = False
        """Whether a step did not fit."""
        self._renderings: dict[int, _Rendering] = {}
        self._open_part = Part("")
        """The newest state of the part that fits."""

    def _advance(self, is_growing: bool) -> None:
        """Close every part that is full, and render the open one."""
        while not self.is_cancelled:
            try:
                if self._take_step():
                    continue
                if self._show_open_part() or is_growing:
                    return
                self._has_ended = True
                self._shorten_step()
            except Exception as error:
                if self._is_plain:
                    raise
                # A defect in the parser or the dialect must not cost the answer.
                self.failure = error
                if is_growing and self._fit_end + self._stride > len(self._text):
                    return
                self._begin_part(self._part_start, is_plain=True)

    def _take_step(self) -> bool:
        """Decide a step of growth, or close the part. False if the text is too short for it."""
        if self._is_plain:
            return self._close_plain_part()
        if self._fit_end == len(self._text):
            return False
        if self._limit_part():
            return True
        if self._fit_end + self._stride > len(self._text):
            return False
        self._grow_or_shorten_step(self._fit_end + self._stride)
        return True

    def _grow_or_shorten_step(self, end: int) -> None:
        rendering = self._render_up_to(end)
        self._part_cost += rendering.cost + self._stride
        room = self._dialect.limit - rendering.size
        if room < 0 and end > self._part_start.resume_at + 1:
            self._shorten_step()
            return
        self._open_part = rendering.part
        self._fit_end = end
        self._renderings = {position: known for position, known in self._renderings.items() if position >= end}
        next_stride = self._stride // 2 if self._is_nearly_full else min(self._stride * 2, self._max_stride, room // 2)
        self._stride = max(self._min_stride(), next_stride)

    def _shorten_step(self) -> None:
        """Try half of a step that does not fit, or close the part."""
        self._is_nearly_full = True
        if self._is_plain:
            self._plain_chars //= 2
        elif self._stride > self._min_stride():
            self._stride //= 2
        else:
            self._close_part()

    def _min_stride(self) -> int:
        # The first character of a part is accepted even if it does not fit.
        is_empty = self._fit_end == self._part_start.resume_at
        return 1 if is_empty else max(1, self._dialect.limit // MIN_STRIDE_RATIO)

    def _limit_part(self) -> bool:
        """Close a part that shows little for its length or its cost."""
        limit, length = self._dialect.limit, self._fit_end - self._part_start.resume_at
        if length > limit // 8 and not self._render_up_to(self._fit_end).part.text.strip():
            self._closed_cost += self._part_cost
            self._begin_part(self._part_start, is_plain=True)
            return True
        is_full = length > MAX_SOURCE_RATIO * limit or self._part_cost > MAX_PART_WORK * self._allowance
        if not is_full or not length:
            return False
        self._close_part()
        return True

    def _show_open_part(self) -> bool:
        """Show the part as far as the text goes, if it fits."""
        rest = self._text[self._fit_end :]
        if self._is_plain:
            part = self._render_plain(rest)
            self.has_plain_part |= bool(part.text.strip())
            size = self._dialect.size(part)
        else:
            earlier_work = self.work
            rendering = self._render_up_to(len(self._text))
            self._open_work = self.work - earlier_work
            part, size = rendering.part, rendering.size
        min_chars = 1 if self._is_plain else 0
        fits = size <= self._dialect.limit or len(rest) <= min_chars
        if fits:
            self._open_part = part
        return fits

    def _close_part(self) -> None:
        render = partial(self._render, end=self._fit_end)
        finder = CutFinder(
            render, self._parser, self._dialect, self._text, self._part_start, self._fit_end, self._allowance
        )
        cut = finder.find()
        blocks = finder.blocks_up_to(cut.end)
        part = render(blocks)
        for label, url in find_definitions(blocks).items():
            self._definitions.setdefault(label, url)
        if part.text.strip():
            self._closed_parts.append(part)
        self._closed_cost += self._part_cost + finder.cost
        self._finished_work += finder.work
        self._begin_part(cut)

    # Plain text

    def _close_plain_part(self) -> bool:
        """Close the plain part if it is full. Its size in source characters is fixed, so that nothing is searched."""
        start = self._part_start.resume_at
        while len(self._text) - start > self._plain_chars:
            piece = self._text[start : start + self._plain_chars]
            if self._plain_chars == 1 or self._dialect.size(self._render_plain(piece)) <= self._dialect.limit:
                self._end_plain_part(piece)
                return True
            self._plain_chars //= 2
        return False

    def _end_plain_part(self, piece: str) -> None:
        end = max(piece.rfind("\n"), piece.rfind(" ")) + 1
        if end <= len(piece) // 2:
            end = _last_grapheme_start(piece) or len(piece)
        part = self._render_plain(piece[:end])
        if part.text.strip():
            self._closed_parts.append(part)
            self.has_plain_part = True
        resume_at = self._part_start.resume_at + end
        self._begin_part(Cut(resume_at, resume_at))

    def _render_plain(self, text: str) -> Part:
        self._finished_work += len(text)
        return self._dialect.render(Document((plain_paragraph(text),)))

    # Growing

    def _render_up_to(self, end: int) -> _Rendering:
        rendering = self._renderings.get(end)
        if rendering is None:
            parsed = self._parser.parse(self._text, end)
            part = self._render(parsed.blocks, end)
            self._finished_work += len(part.text) // 2
            rendering = self._renderings[end] = _Rendering(part, self._dialect.size(part), parsed.cost)
        return rendering

    def _render(self, blocks: tuple[Block, ...], end: int) -> Part:
        """`end`: where the source of the blocks ends, at the latest."""
        start = self._part_start.resume_at
        if not self._definitions and not may_define(self._text[start:end]):
            return self._dialect.render(Document(blocks))
        return self._dialect.render(link_references(blocks, self._definitions, hides_definitions=start == 0))


def _last_grapheme_start(text: str) -> int:
    """Where the last character of `text`, as people see it, begins; 0 if `text` is one character."""
    search_start = max(0, len(text) - MAX_GRAPHEME_CHARS)
    starts = [match.start() for match in GRAPHEME_PATTERN.finditer(text, search_start)]
    return starts[-1] if starts and starts[-1] > search_start else 0

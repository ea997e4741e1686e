"""Markdown in the terminal, read with the rules by which the dialects write it."""

from markdown_it import MarkdownIt
from rich import markdown

from core.markdown.emphasis import relax_emphasis


class Markdown(markdown.Markdown):
    def __init__(self, text: str) -> None:
        super().__init__("")
        grammar = MarkdownIt().enable(["strikethrough", "table"])
        relax_emphasis(grammar)
        self.parsed = grammar.parse(text)

"""What a person can place in any chat, also where the bot is not: the port for inline queries.

Suggestions cost no tokens: no model is asked before a person has chosen one that is a question.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.port import Incoming, Part, Sender


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One message to choose."""

    title: str
    description: str
    part: Part
    """What is written into the chat."""
    ask_label: str = ""
    """The message is the question that the person has typed; the answer takes its place. This is the label of its
    button, which asks where the platform does not report that somebody chose the message. Empty: a finished text."""
    ask_token: str = ""
    """For `SupportsSuggestions.find_question`."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    items: tuple[Suggestion, ...]
    hint: str = ""
    """The label of a button above them that opens the private chat; empty for none."""


@runtime_checkable
class SupportsSuggestions(Protocol):
    """Optional, for inboxes."""

    async def suggest(self, query: Incoming, *, allows_rich: bool = True) -> Suggestions | None:
        """What to suggest for `query.text`, which the person has typed so far, in a foreign place.

        Only the question is stored, for a short time. None if the sender may not use the bot: show nothing.
        `allows_rich`: whether parts may be rich messages. Raises `StoreError`.
        """

    async def find_question(self, ask_token: str, sender: Sender) -> str | None:
        """The question that was suggested to `sender`; None if it was long ago, or to somebody else.

        Raises `StoreError`.
        """

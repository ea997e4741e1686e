"""Traces: how long the steps of one turn take, from its event to its last message.

    turn  attempt=1 outcome=done  from the moment the event was stored
    ├── queue                     until a process claims the turn
    ├── model  model=…            one for each request to a model
    └── part   position=0         one for each final message

A step that fails has the name of its exception, and `failure`, a member of the lists in `core.errors`. When a process
dies, its trace is lost; the turn's next attempt has one of its own.

The code marks steps with `Tracer`, which does nothing; `core.opentelemetry_tracer` records them. Attributes hold no
texts and nothing that identifies a person or a chat.
"""

from contextlib import AbstractContextManager, nullcontext

NO_SPAN = nullcontext()


class Tracer:
    def turn(self, turn_id: int, platform: str, received_at: float, attempt: int) -> AbstractContextManager[None]:  # noqa: ARG002 (overridden)
        """The work on a turn, until the block ends. `received_at`: when its event was stored, in seconds since 1970.
        `attempt`: how often the turn was claimed.
        """
        return NO_SPAN

    def turn_ended(self, outcome: str) -> None:
        """The turn that this task works on is over. `outcome`: its final state."""

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:  # noqa: ARG002 (overridden)
        """A step of the turn that this task works on, until the block ends."""
        return NO_SPAN


NO_TRACER = Tracer()

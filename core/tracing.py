"""Traces: how long the steps of one turn take, from its event to its last message.

    turn                          from the moment the event was stored
    ├── queue                     until a process claims the turn
    ├── model  model=…            one for each request to a model
    └── part   position=0         one for each final message

The code marks steps with `Tracer`, which does nothing; `core.opentelemetry_tracer` records them. Attributes hold no
texts and nothing that identifies a person or a chat.
"""

from contextlib import AbstractContextManager, nullcontext

NO_SPAN = nullcontext()


class Tracer:
    def turn(self, turn_id: int, platform: str, received_at: float) -> AbstractContextManager[None]:  # noqa: ARG002 (overridden)
        """The work on a turn, until the block ends. `received_at`: when its event was stored, in seconds since 1970."""
        return NO_SPAN

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:  # noqa: ARG002 (overridden)
        """A step of the turn that this task works on, until the block ends."""
        return NO_SPAN


NO_TRACER = Tracer()

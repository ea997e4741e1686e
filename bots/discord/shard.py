"""One of the parts into which Discord splits a bot's guilds, each with its own connection."""

from dataclasses import dataclass

from core.port import Place

__all__ = ["Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    number: int
    count: int
    """The number of shards of the bot."""

    def serves(self, place: Place) -> bool:
        """Whether this shard receives the events of `place`; direct messages go to shard 0."""
        if place.server is None:
            return place.is_private and self.number == 0
        return (int(place.server) >> 22) % self.count == self.number

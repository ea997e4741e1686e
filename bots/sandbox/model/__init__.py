"""IO Intelligence's stand-in."""

from bots.sandbox.model.script import Script
from bots.sandbox.model.server import ModelStandIn, Recorded

__all__ = ["ModelStandIn", "Recorded", "Script"]

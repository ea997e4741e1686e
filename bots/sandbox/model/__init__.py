"""IO Intelligence's stand-in: the scripted models behind an API that is as strict as the real one.

server = ModelStandIn(tokens_per_second=200, quotas=published_quotas())
await server.start()                           # then server.base_url, server.api_key

server.used["owner/model"]                     # today's tokens, exactly
server.used.of(key=..., model=..., kind=Kind.CHAT)
server.reset_day()
server.add_key("another", quotas={"owner/model": 1000}, paid=True)
server.vanish("owner/model"); server.appear(Model("owner/new", 32_000))
server.listing = Listing.DOCUMENTED            # the shape of GET /models
server.overflow = OVERFLOWS["llama.cpp"]       # the words for a request over the window
server.fail_next(faults.busy(3), times=2, model="owner/model")
server.hook = lambda body: faults.gateway(502) if ... else None
server.requests, server.refused                # what was asked and what was turned away
"""

from bots.sandbox.model import faults
from bots.sandbox.model.accounts import Account, Endpoint, UsageKey, UsageLedger, published_quotas
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES, OverflowResponse
from bots.sandbox.model.faults import Fault
from bots.sandbox.model.model_list import ModelListFormat
from bots.sandbox.model.script import ScriptedAnswer
from bots.sandbox.model.server import ModelStandIn, RecordedRequest, RejectedRequest
from bots.sandbox.model.tokeniser import Tokeniser

__all__ = [
    "OVERFLOW_RESPONSES",
    "Account",
    "Endpoint",
    "Fault",
    "ModelListFormat",
    "ModelStandIn",
    "OverflowResponse",
    "RecordedRequest",
    "RejectedRequest",
    "ScriptedAnswer",
    "Tokeniser",
    "UsageKey",
    "UsageLedger",
    "faults",
    "published_quotas",
]

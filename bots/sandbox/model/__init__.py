"""The stand-in for IO Intelligence: scripted models behind an API that is as strict as the real one.

server = ModelStandIn(tokens_per_second=200, quotas={"owner/model": 500_000})
await server.start()                                # sets server.base_url

server.usage["owner/model"]                         # today's tokens, exactly
server.usage.tokens_used(api_key=..., model=..., endpoint=Endpoint.CHAT)
server.usage.start_new_day()
server.add_account("another", quotas={"owner/model": 1000}, is_paid=True)
del server.models["owner/model"]
server.add_model(Model("owner/new", 32_000))
server.add_model(SPEECH_MODEL)                       # hears the words of `make_recording`
server.add_model(VISION_MODEL)                       # its answers say which pictures it got
server.list_format = ModelListFormat.DOCUMENTED     # the format of GET /models
server.overflow_response = OVERFLOW_RESPONSES["llama.cpp"]
server.strictness.rejects_system_role = True        # refuse what some services refuse
server.fail_next(faults.rate_limited(3), times=2, model="owner/model")
server.fault_hook = lambda body: faults.gateway_error(502) if ... else None
server.requests, server.rejected_requests
"""

from bots.sandbox.model import faults
from bots.sandbox.model.accounts import Endpoint, UsageKey
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES, OverflowResponse
from bots.sandbox.model.faults import Fault
from bots.sandbox.model.images import VISION_MODEL
from bots.sandbox.model.model_list import ModelListFormat
from bots.sandbox.model.script import ScriptedAnswer
from bots.sandbox.model.server import ModelStandIn, RecordedRequest
from bots.sandbox.model.speech import SPEECH_MODEL, make_recording
from bots.sandbox.model.tokeniser import Tokeniser

__all__ = [
    "OVERFLOW_RESPONSES",
    "SPEECH_MODEL",
    "VISION_MODEL",
    "Endpoint",
    "Fault",
    "ModelListFormat",
    "ModelStandIn",
    "OverflowResponse",
    "RecordedRequest",
    "ScriptedAnswer",
    "Tokeniser",
    "UsageKey",
    "faults",
    "make_recording",
]

"""What the operator can do about each failure of the model service: for logs and `parley models`."""

from core.errors import ModelFailure

ADVICE: dict[ModelFailure, str] = {
    ModelFailure.AUTHENTICATION: "The service does not accept the API key: set IOINTELLIGENCE_API_KEY to a valid one.",
    ModelFailure.CREDIT: "The account of the API key has no credit left: add credit at the service or use free models.",
    ModelFailure.PAYMENT: "The plan of the API key does not include this model.",
    ModelFailure.REGION: "The service does not serve the country of this machine: use another service.",
    ModelFailure.BLOCKED: "A proxy or a firewall answered in place of the service, or the service blocks this "
    "machine's address. Check the network and HTTPS_PROXY.",
    ModelFailure.WRONG_ADDRESS: "The service does not know this path, so IOINTELLIGENCE_BASE_URL is probably wrong. "
    "For most services it ends in /v1.",
    ModelFailure.NO_STREAMING: "The service does not stream this model's answers to this account.",
    ModelFailure.RATE_LIMITED: "The service limits requests or tokens per second or minute.",
    ModelFailure.QUOTA: "The quota of this model for today is used up.",
    ModelFailure.ALLOWANCE: "The daily limit of a person or chat is used up: PARLEY_PERSON_TOKENS, PARLEY_CHAT_TOKENS.",
    ModelFailure.UNKNOWN_MODEL: "The service does not offer this model. `parley models` lists those it offers.",
    ModelFailure.OVERFLOW: "The request exceeds the model's context window. PARLEY_CONTEXTS corrects a wrong size.",
    ModelFailure.REFUSED: "The service rejects a value or a field of the request.",
    ModelFailure.FILTERED: "The service's content filter rejected the question or withheld the answer.",
    ModelFailure.UNREACHABLE: "There is no connection to the service. Check the network and IOINTELLIGENCE_BASE_URL.",
    ModelFailure.SERVER_ERROR: "The service has an internal error. If it affects only one model, use another model.",
    ModelFailure.UNAVAILABLE: "The service is overloaded or down.",
    ModelFailure.STALLED: "The model sent nothing for too long: PARLEY_FIRST_TOKEN_TIMEOUT, PARLEY_STALL_TIMEOUT.",
    ModelFailure.TRUNCATED: "The connection ended in the middle of an answer. A proxy may have a shorter time limit.",
    ModelFailure.MALFORMED: "The response is not what an OpenAI-compatible service sends.",
    ModelFailure.EMPTY: "The model ended its answer without any text.",
}

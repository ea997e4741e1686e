"""What an error of a model service means, by its status and its text. Pure.

Most texts mean the same with any status. Some statuses mean several things: 403 is a wrong key, a firewall or a model
that the plan lacks; 429 is a limit of a minute, of a day or of the account. Only then the text decides between them.
"""

import re

from core.api import context_overflow
from core.errors import ModelFailure

QUOTA_RETRY_AFTER_SECONDS = 120.0
"""A limit with a longer delay than this means that today's quota is used up."""

REQUEST_RATE_PATTERN = re.compile(r"rate[ _-]?limit|too many requests", re.IGNORECASE)
RATE_LIMIT_PATTERN = re.compile(rf"{REQUEST_RATE_PATTERN.pattern}|limit exceeded", re.IGNORECASE)
UNKNOWN_MODEL_PATTERN = re.compile(
    r"model is not available(?! in)|model .{0,200}(?:does not exist|not found|decommissioned)|model not exist"
    r"|model [^ ]{1,200} is not available(?! in)|(?:unknown|invalid|no such|not a valid) model|model_not_found"
    r"|no endpoints found|no models? loaded|provider not provided"
    r"|deployment .{0,80}(?:does not exist|not found)|deploymentnotfound",
    re.IGNORECASE | re.DOTALL,
)
CREDIT_PATTERN = re.compile(
    r"insufficient[ _-]?(?:\w{1,20}[ _])?(?:quota|balance|credit|fund)|exceeded_current_quota"
    r"|(?:not enough|out of|no|low|negative|more) (?:\w{1,20} ){0,2}(?:credits?|balance|funds)\b(?! were)"
    r"|(?:credits?|balance) .{0,40}(?:too low|insufficient|exhausted|depleted|used up|expired|negative)"
    r"|balance insufficient|payment[ _]required|billing_(?:hard_limit|not_active)|billing hard limit"
    r"|arrearage|overdue payment|budget[ _](?:has been )?exceeded|exceededbudget|over budget|freetieronly"
    r"|key limit exceeded(?! \((?:daily|weekly|monthly))|top up|recharge|余额不足|额度不足|欠费",
    re.IGNORECASE,
)
REGION_PATTERN = re.compile(
    r"unsupported_country|geographic|\bgeo[ -]?(?:block|restrict)"
    r"|(?:country|region|territory|location)\b.{0,60}not (?:supported|available|allowed|served)"
    r"|\bnot\b.{0,80} (?:in|from) (?:your|this) (?:country|region|territory|location)",
    re.IGNORECASE,
)
STREAMING_PATTERN = re.compile(
    r"\bstream(?:ing)?\b.{0,40}(?:not|never|n't) (?:\w{1,20} )?(?:allow|support|availab|enabl|permit)"
    r"|\bstream(?:ing)?\b (?:\w{1,20} ){0,2}(?:disabled|unsupported)|verified to stream"
    r"|\bstream\b['\"]? (?:must|should) be (?:set to )?false|only supports? non-?stream"
    r"|(?:not|n't) (?:support|allow)\w{0,3} (?:\w{1,20} ){0,2}['\"`]?stream(?:ing)?\b",
    re.IGNORECASE,
)
FILTER_PATTERN = re.compile(
    r"content[ _-]?(?:filter|polic|violat|management polic|exists risk|(?:was |is )?blocked)|usage (?:guidelines|polic)"
    r"|acceptable use|data_?inspection|safety (?:system|filter|polic|check|reasons|settings)|moderation"
    r"|(?:inappropriate|prohibited|unsafe|harmful|sensitive)[ _](?:content|text|information|words?)"
    r"|(?:put|was|been|is) (?:flagged|new_sensitive)|blocked (?:by|for) safety|considered high risk"
    r"|violat\w{1,5} .{0,40}(?:guidelines|polic)|敏感|不安全",
    re.IGNORECASE,
)
ADDRESS_PATTERN = re.compile(
    r"page not found|unexpected endpoint|invalid url|no route matched|cannot (?:get|post) /"
    r"|unknown (?:path|endpoint|url)",
    re.IGNORECASE,
)
KEY_PATTERN = re.compile(
    r"api[ _-]?(?:key|token).{0,40}(?:invalid|not valid|incorrect|expired|revoked|not exist)"
    r"|(?:invalid|incorrect|wrong|expired|missing|revoked|unknown|no)[ _](?:\w{1,20}[ _]){0,2}api[ _-]?(?:key|token)"
    r"|authentication_error|unauthenticated|invalid_authentication|authentication (?:failed|fails)",
    re.IGNORECASE,
)
FAILURES_BY_TEXT = (
    (UNKNOWN_MODEL_PATTERN, ModelFailure.UNKNOWN_MODEL),
    (CREDIT_PATTERN, ModelFailure.CREDIT),
    (REGION_PATTERN, ModelFailure.REGION),
    (STREAMING_PATTERN, ModelFailure.NO_STREAMING),
    (FILTER_PATTERN, ModelFailure.FILTERED),
    (ADDRESS_PATTERN, ModelFailure.WRONG_ADDRESS),
)
"""What a text means whatever the status is. The first match counts."""

MODEL_PATTERN = re.compile(r"\bmodels?\b", re.IGNORECASE)
MODEL_ACCESS_PATTERN = re.compile(
    r"model.{0,80}(?:not allowed|no access|gated|restricted|permission|denied)|(?:access|permission).{0,40}\bmodel",
    re.IGNORECASE,
)
PLAN_PATTERN = re.compile(r"\bplan\b|\btier\b|upgrade|subscri", re.IGNORECASE)
NETWORK_PATTERN = re.compile(
    r"\bip\b.{0,60}(?:allowed|block|denied|whitelist|allowlist|banned)|firewall|access denied by|error code: 10\d\d"
    r"|just a moment|captcha|network settings|request (?:was |has been |is )?blocked|\bwaf\b",
    re.IGNORECASE,
)
CREDENTIAL_PATTERN = re.compile(r"key|token|credential|authori[sz]|authenti", re.IGNORECASE)
QUOTA_PATTERN = re.compile(r"quota", re.IGNORECASE)
MINUTE_LIMIT_PATTERN = re.compile(
    r"(?:per|a|each|every)[ _-]?(?:second|minute|hour)|/ ?(?:s|sec|second|min|minute|h|hour)\b|\b[rt]p[sm]\b",
    re.IGNORECASE,
)
DAY_LIMIT_PATTERN = re.compile(
    r"(?:per|a|each|every)[ _-]?(?:day|week|month)|daily|monthly|today|tomorrow|/ ?day\b|\b[rt]pd\b", re.IGNORECASE
)
SHORT_WAIT_PATTERN = re.compile(
    r"minute|second|hourly|\b\d{1,6}(?:\.\d{1,6})? ?m?s\b|resource has been exhausted", re.IGNORECASE
)
BILLING_PATTERN = re.compile(r"billing|exceeded your current quota", re.IGNORECASE)
OVERLOAD_PATTERN = re.compile(r"overload|unavailable|capacity|too busy", re.IGNORECASE)

LIMIT_STATUSES = (402, 403, 429)
"""With these, a number of tokens that is too large is not that of one request."""
FAILURE_BY_STATUS = {
    405: ModelFailure.WRONG_ADDRESS,
    407: ModelFailure.BLOCKED,
    408: ModelFailure.UNAVAILABLE,
    409: ModelFailure.UNAVAILABLE,
    410: ModelFailure.UNKNOWN_MODEL,
    413: ModelFailure.OVERFLOW,
    451: ModelFailure.REGION,
}


def classify(status: int, text: str, retry_after: float | None = None, *, is_json: bool = True) -> ModelFailure:
    """`retry_after` in seconds. `is_json`: False if the service's API itself did not write the error."""
    if status not in LIMIT_STATUSES and context_overflow.is_overflow(text) and not _is_limit_in_time(text):
        return ModelFailure.OVERFLOW
    for pattern, failure in FAILURES_BY_TEXT:
        if pattern.search(text):
            return failure
    if status in FAILURE_BY_STATUS:
        return FAILURE_BY_STATUS[status]
    if status == 403 and _is_blocked(text, is_json=is_json):
        return ModelFailure.BLOCKED
    if _is_limit(status, text):
        return _classify_limit(text, retry_after)
    return _classify_by_status(status, text)


def _is_limit_in_time(text: str) -> bool:
    return any(pattern.search(text) for pattern in (REQUEST_RATE_PATTERN, MINUTE_LIMIT_PATTERN, DAY_LIMIT_PATTERN))


def _is_blocked(text: str, *, is_json: bool) -> bool:
    return bool(NETWORK_PATTERN.search(text)) or not (is_json or CREDENTIAL_PATTERN.search(text))


def _is_limit(status: int, text: str) -> bool:
    may_limit = status == 403 or status >= 500
    return status == 429 or (may_limit and bool(RATE_LIMIT_PATTERN.search(text) or QUOTA_PATTERN.search(text)))


def _classify_limit(text: str, retry_after: float | None) -> ModelFailure:
    """Whether a limit ends soon, tomorrow, or when somebody pays."""
    if MINUTE_LIMIT_PATTERN.search(text):
        return ModelFailure.RATE_LIMITED
    if DAY_LIMIT_PATTERN.search(text):
        return ModelFailure.QUOTA
    if SHORT_WAIT_PATTERN.search(text):
        return ModelFailure.RATE_LIMITED
    if BILLING_PATTERN.search(text):
        return ModelFailure.CREDIT
    if retry_after is None:
        return ModelFailure.QUOTA if QUOTA_PATTERN.search(text) else ModelFailure.RATE_LIMITED
    return ModelFailure.QUOTA if retry_after > QUOTA_RETRY_AFTER_SECONDS else ModelFailure.RATE_LIMITED


def _classify_by_status(status: int, text: str) -> ModelFailure:
    match status:
        case 401 | 403:
            lacks_model = MODEL_ACCESS_PATTERN.search(text) or (status == 403 and PLAN_PATTERN.search(text))
            return ModelFailure.PAYMENT if lacks_model else ModelFailure.AUTHENTICATION
        case 402:
            return ModelFailure.PAYMENT if PLAN_PATTERN.search(text) else ModelFailure.CREDIT
        case 404:
            return ModelFailure.UNKNOWN_MODEL if MODEL_PATTERN.search(text) else ModelFailure.WRONG_ADDRESS
        case _ if KEY_PATTERN.search(text):
            return ModelFailure.AUTHENTICATION
        case _ if status >= 500:
            is_overloaded = status > 501 or OVERLOAD_PATTERN.search(text)
            return ModelFailure.UNAVAILABLE if is_overloaded else ModelFailure.SERVER_ERROR
        case _:
            return ModelFailure.REFUSED

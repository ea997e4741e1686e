"""What an error of a model service means, by its status and its text. Pure.

Most texts mean the same with any status. Some statuses mean several things: 403 is a wrong key, a firewall or a model
that the plan lacks; 429 is a limit of a minute, of a day or of the account. Only then the text decides between them.
"""

import re

from core.api import context_overflow
from core.api.adaptation import find_rejected_parts
from core.errors import ModelFailure

QUOTA_RETRY_AFTER_SECONDS = 120.0
"""A limit with a longer delay than this means that today's quota is used up."""

REQUEST_RATE_PATTERN = re.compile(r"rate[ _-]?limit|too many requests", re.IGNORECASE)
RATE_LIMIT_PATTERN = re.compile(rf"{REQUEST_RATE_PATTERN.pattern}|limit exceeded", re.IGNORECASE)
MODEL_ID = r"(?: '[^'\n]{1,200}'| \"[^\"\n]{1,200}\"| `[^`\n]{1,200}`| [^ ]{1,200})?"
"""The name after "model", if there is one."""
THE_MODEL = r"\bmodel\b" + "".join(
    f"(?<!{preposition} {article}model)"
    for preposition in ("for", "with", "by", "of", "on", "in", "using")
    for article in ("", "the ", "this ", "that ", "the requested ", "the selected ")
)
"""The model as what a sentence is about: not "top_p for this model is not supported"."""
NOT_FOR_ALL = r"(?! (?:from|on|for|in|under|with|to|by) (?:your|this)\b)"
"""Otherwise the service has the model, but not for everybody."""
UNKNOWN_MODEL_PATTERN = re.compile(
    r"model is not available(?! in)|model .{0,200}(?:does not exist|not found|decommissioned)|model not exist"
    r"|model [^ ]{1,200} is not available(?! in)|model_not_found|model_not_supported|no models? loaded"
    r"|(?:unknown|invalid|no such|not a (?:valid|known|supported)|unavailable) model\b(?!'s| parameter)"
    r"|unsupported model(?::| ['\"`]|$)|model (?:identifier|id|name) (?:is|was) (?:invalid|incorrect|unknown)"
    r"|model names are .{1,2000}but you passed|no healthy deployments|no endpoints found|provider not provided"
    r"|(?:could not|cannot|can't|couldn't|unable to) find (?:\w{1,20} ){0,2}model\b|no model (?:named|with)"
    rf"|{THE_MODEL}{MODEL_ID} (?:has|is|was|will be)(?: now)?(?: been)? "
    rf"(?:deprecated|retired|discontinued|removed|shut ?down|sunset)\b{NOT_FOR_ALL}"
    rf"|{THE_MODEL}{MODEL_ID} is no longer (?:available|supported|offered|served)\b{NOT_FOR_ALL}"
    rf"|{THE_MODEL}{MODEL_ID} (?:is not|isn't|was not|wasn't) (?:found|loaded|served|hosted|deployed|offered)(?! yet)"
    r"|not a chat(?:[ -]completions?)? model"
    r"|does(?: not|n't) support chat(?: completions?+)?+\b(?! (?:template|with|using|that|for|and))"
    r"|non-serverless model|model_not_available|on-demand throughput|(?:no|not have a) chat[ _]template"
    r"|chat[ _]template is (?:no longer allowed|not set)|no model is (?:currently )?loaded"
    r"|function '?[\w-]{1,60}'?: not found for"
    rf"|\bmodel{MODEL_ID} has reached its end of life|{THE_MODEL} (?:is |has been )?disabled\b{NOT_FOR_ALL}"
    r"|model only supports embed|not in (?:the )?/?v1/chat/completions"
    r"|deployment .{0,80}(?:does not exist|not found)|deploymentnotfound"
    r"|模型.{0,40}(?:不存在|已下线)|(?:不支持的|无效的|未知)模型",
    re.IGNORECASE | re.DOTALL,
)
UNSUPPORTED_MODEL_PATTERN = re.compile(
    rf"{THE_MODEL}{MODEL_ID} (?:is not|isn't|is un|not )\s?supported(?! (?:for|with|when|without))",
    re.IGNORECASE,
)
"""Only if the text names no part of the request, and no plan that includes the model."""
LOADING_PATTERN = re.compile(
    r"(?:is|still|being|currently) loading|loading in progress|warming up|starting up|\bcapacity\b|overloaded"
    r"|(?:\bnot|n't|\bmodel is|\bcurrently) loaded",
    re.IGNORECASE,
)
"""With the status of a service that fails: the model is known, but not ready."""
CREDIT_PATTERN = re.compile(
    r"insufficient[ _-]?(?:\w{1,20}[ _])?(?:quota|balance|credit|fund)|exceeded_current_quota"
    r"|(?:not enough|out of|no|low|negative|more) (?:\w{1,20} ){0,2}(?:credits?|balance|funds)\b(?! were)"
    r"|(?:credits?|balance) .{0,40}(?:too low|insufficient|exhausted|depleted|used up|expired|negative|consumed|spent)"
    r"|(?:exceeded|exhausted|consumed|depleted|used (?:up|all)) (?:\w{1,20} ){0,4}credits?\b(?! per)"
    r"|(?:n't|not) have any credits?\b|credit limit (?:reached|exceeded)|can only afford"
    r"|balance insufficient|payment[ _]required|billing_(?:hard_limit|not_active)|billing hard limit"
    r"|spend(?:ing)?[ _-](?:limit|cap)\b|\bspecified api usage limit|unpaid (?:\w{1,20} )?(?:invoice|bill|balance)"
    r"|arrearage|overdue payment|budget[ _](?:has been )?exceeded|exceededbudget|over budget|freetieronly"
    r"|key limit exceeded(?! \((?:daily|weekly|monthly))|top up|recharge"
    r"|余额.{0,10}(?:不足|用尽|用完|耗尽)|(?<![今每当][日天])额度不足|欠费|充值",
    re.IGNORECASE,
)
PERIOD_CREDIT_PATTERN = re.compile(
    r"\b(?:daily|hourly) (?:\w{1,20} ){0,2}credits?\b|\bcredits?\b.{0,40}\b(?:midnight|tomorrow)"
    r"|\bcredits?\b.{0,20} (?:for today|(?:(?:for|in) this|per|an?|each|every) (?:minute|hour|day))\b",
    re.IGNORECASE,
)
"""Credit that is back after a day or less."""
PLACE = r"(?:country|countries|region|territory|territories|location)"
COUNTRY = (
    r"(?:mainland |the )?(?:china|hong kong|macau|taiwan|russia|belarus|ukraine|crimea|donetsk|luhansk|iran|iraq|syria"
    r"|lebanon|yemen|libya|afghanistan|(?:south )?sudan|somalia|eritrea|ethiopia|zimbabwe|cuba|venezuela|nicaragua"
    r"|north korea|myanmar|burma|europe|european union|european economic area|eu|eea|united kingdom|united states)"
)
REGION_PATTERN = re.compile(
    r"unsupported_country|geographic|\bgeo[ -]?(?:block|restrict)|export controls?\b|\bsanction(?:s|ed)\b"
    rf"|{PLACE}\b.{{0,60}}not (?:supported|available|allowed|served)"
    rf"|\b(?:your|this|from|some|certain) (?:\w{{1,20}} )?{PLACE}s?\b.{{0,60}}"
    r"(?:n't|not permitted|forbidden|blocked|restricted|prohibited|unsupported|banned)"
    rf"|(?:\bnot|n't|\bunavailable|\bunsupported|\bforbidden)\b.{{0,80}} (?:in|from) (?:your|this) {PLACE}"
    rf"|\bnot (?:serve|support|operate in|cover|allow) (?:your|this) {PLACE}"
    rf"|\baccess from {COUNTRY}\b.{{0,60}}"
    r"(?:\bnot (?:permitted|allowed|supported|available)|forbidden|blocked|restricted|prohibited)"
    rf"|\bnot\b.{{0,80}} (?:in|from) {COUNTRY}\b",
    re.IGNORECASE,
)
STREAMING_PATTERN = re.compile(
    r"\bstream(?:ing)?\b.{0,40}(?:not|never|n't) (?:\w{1,20} )?(?:allow|support|availab|enabl|permit)"
    r"|\bstream(?:ing)?\b (?:\w{1,20} ){0,2}(?:disabled|unsupported)|verified to stream"
    r"|\bstream\b['\"]? (?:must|should) be (?:set to )?false|only supports? non-?stream"
    r"|(?:not|n't) (?:support|allow)\w{0,3} (?:\w{1,20} ){0,2}['\"`]?stream(?:ing)?\b|\b(?:cannot|can't) stream\b"
    r"|\b(?:set|use) ['\"`]?stream['\"`]? ?(?:to|=|:) ?['\"`]?false|\bdisable stream|only non-?stream"
    r"|\bstream(?:ing)? (?:is |are )?(?:only (?:available|allowed|supported|enabled)|unavailable)",
    re.IGNORECASE,
)
FILTER_PATTERN = re.compile(
    r"content[ _-]?(?:filter|polic|violat|management polic|exists risk|(?:was |is )?blocked)|usage (?:guidelines|polic)"
    r"|acceptable use|data_?inspection|safety (?:system|filter|polic|check|reasons|settings)|moderation"
    r"|guard ?rails?[: ]{1,2}(?:\w{1,20} ){0,2}(?:interven|block|trigger|reject|refus|flag|violat)"
    r"|(?:by|for|due to|because of|violat\w{1,5}) (?:\w{1,20} ){0,3}guard ?rails?\b"
    r"|(?:inappropriate|prohibited|unsafe|harmful|sensitive)[ _](?:content|text|information|words?)"
    r"|content (?:is|was|has been) (?:\w{1,20} ){0,2}(?:inappropriate|prohibited|unsafe|harmful|sensitive|flagged)"
    r"|because (?:it|the \w{1,20}) (?:\w{1,20} ){1,3}(?:inappropriate|prohibited|unsafe|harmful|sensitive)\b"
    r"|(?:refused|rejected|blocked|stopped|withheld) (?:by|for|due to|because of) (?:\w{1,20} )?safety"
    r"|(?:put|was|been|is) (?:flagged|new_sensitive)|considered high risk"
    r"|violat\w{1,5} .{0,40}(?:guidelines|polic)|敏感|不安全|违规|违禁|不合规",
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
    r"|authentication_error|unauthenticated|invalid_authentication|(?<!password )authentication (?:failed|fails)",
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
    r"|just a moment|captcha|network settings|request (?:was |has been |is )?blocked|\bwaf\b"
    r"|\byou(?: have|'ve)? been (?:blocked|banned)|attention required|unusual traffic|\bray id\b",
    re.IGNORECASE,
)
CREDENTIAL_PATTERN = re.compile(r"key|token|credential|authori[sz]|authenti", re.IGNORECASE)
QUOTA_PATTERN = re.compile(r"quota", re.IGNORECASE)
MINUTE_LIMIT_PATTERN = re.compile(
    r"(?:per|a|each|every)[ _-]?(?:second|minute|hour)|/ ?(?:s|sec|second|min|minute|h|hour)\b|\b[rt]p[sm]\b"
    r"|每分钟|每秒|每小时",
    re.IGNORECASE,
)
DAY_LIMIT_PATTERN = re.compile(
    r"(?:per|a|each|every)[ _-]?(?:day|week|month)|daily|weekly|monthly|today|tomorrow|midnight"
    r"|\b24[ -]?hours?\b|by_?day\b|\b86400 ?s|/ ?day\b|\b[rt]pd\b|[今每当明][日天]|[本每][周月]",
    re.IGNORECASE,
)
SHORT_WAIT_PATTERN = re.compile(
    r"minute|second|hourly|\b\d{1,6}(?:\.\d{1,6})? ?m?s\b|resource has been exhausted", re.IGNORECASE
)
BILLING_PATTERN = re.compile(r"billing|exceeded your current quota", re.IGNORECASE)
ONE_REQUEST_PATTERN = re.compile(r"tokens? limit exceeded:? \d{1,12} ?>", re.IGNORECASE)
"""Credit that does not suffice for this request."""
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
    failure = _classify_text(text)
    if failure is not None and not _is_temporary(failure, status, text):
        return failure
    if status in FAILURE_BY_STATUS:
        return FAILURE_BY_STATUS[status]
    if status == 403 and _is_blocked(text, is_json=is_json):
        return ModelFailure.BLOCKED
    if _is_limit(status, text):
        return _classify_limit(text, retry_after)
    return _classify_by_status(status, text)


def _classify_text(text: str) -> ModelFailure | None:
    """What a text means whatever the status is; None if that depends on the status."""
    failure = next((failure for pattern, failure in FAILURES_BY_TEXT if pattern.search(text)), None)
    return ModelFailure.UNKNOWN_MODEL if failure is None and _is_unsupported_model(text) else failure


def _is_temporary(failure: ModelFailure, status: int, text: str) -> bool:
    """Whether the status says more than the text: a model that is not ready yet, or credit of a day."""
    if failure is ModelFailure.UNKNOWN_MODEL:
        return (status == 429 or status >= 500) and LOADING_PATTERN.search(text) is not None
    return failure is ModelFailure.CREDIT and status == 429 and PERIOD_CREDIT_PATTERN.search(text) is not None


def _is_unsupported_model(text: str) -> bool:
    if not UNSUPPORTED_MODEL_PATTERN.search(text) or PLAN_PATTERN.search(text):
        return False
    return not find_rejected_parts(text, is_certain_rejection=True)


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
        is_quota = QUOTA_PATTERN.search(text) and "rate limit" not in text.lower()
        return ModelFailure.QUOTA if is_quota else ModelFailure.RATE_LIMITED
    return ModelFailure.QUOTA if retry_after > QUOTA_RETRY_AFTER_SECONDS else ModelFailure.RATE_LIMITED


def _classify_by_status(status: int, text: str) -> ModelFailure:
    match status:
        case 401 | 403:
            lacks_model = MODEL_ACCESS_PATTERN.search(text) or (status == 403 and PLAN_PATTERN.search(text))
            return ModelFailure.PAYMENT if lacks_model else ModelFailure.AUTHENTICATION
        case 402:
            needs_plan = PLAN_PATTERN.search(text) and not ONE_REQUEST_PATTERN.search(text)
            return ModelFailure.PAYMENT if needs_plan else ModelFailure.CREDIT
        case 404:
            return ModelFailure.UNKNOWN_MODEL if MODEL_PATTERN.search(text) else ModelFailure.WRONG_ADDRESS
        case _ if KEY_PATTERN.search(text):
            return ModelFailure.AUTHENTICATION
        case _ if status >= 500:
            is_overloaded = status > 501 or OVERLOAD_PATTERN.search(text)
            return ModelFailure.UNAVAILABLE if is_overloaded else ModelFailure.SERVER_ERROR
        case _:
            return ModelFailure.REFUSED

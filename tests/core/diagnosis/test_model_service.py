"""What the check of the model service reports, with what the operator can do."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from core.conversation.learned_facts import service_name
from core.conversation.ledger import key_id_of
from core.diagnosis.finding import Finding, Severity
from core.diagnosis.model_service import check_model_service
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.settings.model import DEFAULT_MODEL
from core.store.database import Store
from core.store.model_pauses import save_pause
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.ports import free_port
from tests.sqlite import sqlite_url

PHI = "microsoft/phi-4"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
TIMINGS = Timings(clock=FixedTimeClock(NOON.timestamp()))
KEY_ACCEPTED = Finding("model.key", Severity.OK, "The service accepts the API key.")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(sqlite_url(tmp_path))
    yield opened
    await opened.close()


async def check(
    model: ModelStandIn, store: Store, *, has_database: bool = True, **values: Any
) -> dict[str, list[Finding]]:
    """The findings by check."""
    settings = Settings(**{"api_key": SecretStr(model.api_key), "base_url": model.base_url, **values})
    findings: dict[str, list[Finding]] = {}
    for finding in await check_model_service(settings, store, has_database=has_database, timings=TIMINGS):
        findings.setdefault(finding.check, []).append(finding)
    return findings


def address(model: ModelStandIn) -> str:
    return model.base_url.removeprefix("http://")


def use(folder: Path, model: ModelStandIn, tokens: int, *, is_exhausted: bool = False) -> None:
    """Today's usage of the default model."""
    row = (key_id_of(model.api_key), DEFAULT_MODEL, "chat", NOON.date().isoformat(), tokens, 1, is_exhausted)
    with closing(sqlite3.connect(folder / "parley.sqlite3")) as database, database:
        database.execute("INSERT INTO token_usage VALUES (?, ?, ?, ?, ?, ?, ?)", row)


async def test_healthy_service(model: ModelStandIn, store: Store) -> None:
    findings = await check(model, store, quotas={DEFAULT_MODEL: 500_000, PHI: 7_000}, fallbacks=(PHI,))
    count = sum(not listed.is_embedding_model for listed in model.models.values())
    assert findings == {
        "model.service": [Finding("model.service", Severity.OK, f"{address(model)} lists {count} models.")],
        "model.key": [KEY_ACCEPTED],
        "model.names": [
            Finding("model.names", Severity.OK, f"The service offers {DEFAULT_MODEL} and the other models set.")
        ],
        "model.quota": findings["model.quota"],
    }
    (quota,) = findings["model.quota"]
    assert quota.severity is Severity.OK
    assert "Llama-3.3-70B-Instruct: 500,000 of 500,000 tokens left today; " in quota.text
    assert quota.text.endswith("phi-4: 7,000 of 7,000 tokens left today.")


async def test_without_database_quotas_and_pauses_are_not_checked(model: ModelStandIn, store: Store) -> None:
    assert list(await check(model, store, has_database=False)) == ["model.service", "model.key", "model.names"]


async def test_missing_key_of_io_intelligence_is_an_error(store: Store) -> None:
    text = "IOINTELLIGENCE_API_KEY is not set."
    advice = "Set it to an API key of IO Intelligence, or set IOINTELLIGENCE_BASE_URL to another service."
    findings = await check_model_service(Settings(), store, has_database=True, timings=TIMINGS)
    assert findings == [Finding("model.key", Severity.ERROR, text, advice)]


async def test_refused_key_is_an_error(model: ModelStandIn, store: Store) -> None:
    findings = await check(model, store, api_key=SecretStr("io-v2-wrong"))
    (finding,) = findings["model.key"]
    assert finding.severity is Severity.ERROR
    assert finding.text.endswith(f" ({address(model)}).")
    assert ".(" not in finding.text.replace(" ", "")
    assert finding.advice == "The service does not accept the API key: set IOINTELLIGENCE_API_KEY to a valid one."
    assert "model.names" in findings


async def test_account_without_credit_is_an_error(model: ModelStandIn, store: Store) -> None:
    model.fault_hook = refuse("credit")
    (finding,) = (await check(model, store))["model.key"]
    assert finding.severity is Severity.ERROR
    assert finding.advice.startswith("The account of the API key has no credit left")


async def test_dead_service_may_come_back(model: ModelStandIn, store: Store) -> None:
    port = free_port()
    findings = await check(model, store, base_url=f"http://127.0.0.1:{port}/v1")
    ((finding,),) = findings.values()
    assert (finding.check, finding.severity) == ("model.service", Severity.UNAVAILABLE)
    assert finding.text.endswith(f" (127.0.0.1:{port}/v1).")
    advice = "There is no connection to the service. Check the network and IOINTELLIGENCE_BASE_URL."
    assert finding.advice == advice


async def test_wrong_address_is_an_error(model: ModelStandIn, store: Store) -> None:
    findings = await check(model, store, base_url=model.base_url.replace("/v1", "/v7"))
    ((finding,),) = findings.values()
    assert (finding.check, finding.severity) == ("model.service", Severity.ERROR)
    assert "IOINTELLIGENCE_BASE_URL is probably wrong" in finding.advice


async def test_service_without_models_has_a_wrong_address(model: ModelStandIn, store: Store) -> None:
    model.models.clear()
    ((finding,),) = (await check(model, store)).values()
    assert (finding.severity, finding.text) == (Severity.ERROR, "The model service lists no models.")
    assert "IOINTELLIGENCE_BASE_URL is probably wrong" in finding.advice


async def test_unknown_model_is_a_warning(model: ModelStandIn, store: Store) -> None:
    (finding,) = (await check(model, store, default_model="microsoft/phi-44"))["model.names"]
    assert finding.severity is Severity.WARNING
    assert finding.text.startswith("PARLEY_DEFAULT_MODEL: the model microsoft/phi-44 is not offered.")
    assert finding.advice == "Correct the name. `parley models` lists the models."


@pytest.mark.parametrize(
    ("used", "state"),
    [(7_999, None), (8_001, "has 1,999 tokens left for today"), (10_000, "has no tokens left for today")],
)
async def test_less_than_a_fifth_of_a_quota_is_a_warning(
    tmp_path: Path, model: ModelStandIn, store: Store, used: int, state: str | None
) -> None:
    use(tmp_path, model, used)
    (finding,) = (await check(model, store, quotas={DEFAULT_MODEL: 10_000}))["model.quota"]
    if state is None:
        assert finding.severity is Severity.OK
        assert "Llama-3.3-70B-Instruct: 2,001 of 10,000 tokens left today" in finding.text
        return
    text = f"{DEFAULT_MODEL} {state}; quotas reset in 12 h."
    advice = "Set PARLEY_FALLBACKS to models that answer instead, or limit people with PARLEY_PERSON_TOKENS."
    assert finding == Finding("model.quota", Severity.WARNING, text, advice)


async def test_pause_is_a_warning(model: ModelStandIn, store: Store) -> None:
    failure = ModelError("The service is down", ModelFailure.UNAVAILABLE)
    await store.write(save_pause, service_name(model.base_url), key_id_of(model.api_key), PHI, failure, 600)
    (finding,) = (await check(model, store, base_url=model.base_url))["model.pause"]
    assert finding.severity is Severity.WARNING
    assert finding.text.startswith(f"{PHI} is paused for 10 min: ")
    assert finding.advice == ("The service is overloaded or down. `parley models --reset-pauses` ends pauses.")


async def test_speech_service_answers(model: ModelStandIn, store: Store) -> None:
    findings = await check(model, store, speech_url=model.base_url)
    assert findings["model.speech"] == [Finding("model.speech", Severity.OK, f"{address(model)} answers.")]


async def test_speech_service_that_lists_no_models_answers(model: ModelStandIn, store: Store) -> None:
    url = model.base_url.replace("/v1", "/v7")
    (finding,) = (await check(model, store, speech_url=url))["model.speech"]
    assert finding.severity is Severity.OK


async def test_dead_speech_service_may_come_back(model: ModelStandIn, store: Store) -> None:
    port = free_port()
    (finding,) = (await check(model, store, speech_url=f"http://127.0.0.1:{port}/v1/"))["model.speech"]
    text = f"The service for voice messages cannot be reached (127.0.0.1:{port}/v1/)."
    advice = "Check PARLEY_SPEECH_URL and that the service runs."
    assert finding == Finding("model.speech", Severity.UNAVAILABLE, text, advice)

"""What an operator sees when a command cannot do its work, and the exit codes supervisors read."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bots.cli import common
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from tests.bots.cli.conftest import Parley, Result, parley_process


@pytest.mark.slow
def test_missing_key_is_reported(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run")
    assert result.exit_code == 78
    assert "IOINTELLIGENCE_API_KEY" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_run_waits_after_configuration_error_until_stopped(tmp_path: Path) -> None:
    """Supervisors that restart whatever the exit code would restart it for ever."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bots.cli", "run", "--wait-after-configuration-error"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert "IOINTELLIGENCE_API_KEY" in process.stderr.readline()
        assert process.poll() is None, "it waits"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 78
        assert process.stderr.read() == "", "the error is reported once"


@pytest.mark.slow
def test_missing_platform_is_reported(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run", IOINTELLIGENCE_API_KEY="k")
    assert result.exit_code == 78
    assert "TELEGRAM_BOT_TOKEN" in result.stderr


@pytest.mark.slow
def test_malformed_token_is_refused_without_showing_it(tmp_path: Path) -> None:
    result = parley_process(tmp_path, "run", IOINTELLIGENCE_API_KEY="k", TELEGRAM_BOT_TOKEN="not-a-token")
    assert result.exit_code == 78
    assert "TELEGRAM_BOT_TOKEN" in result.stderr
    assert "not-a-token" not in result.stderr


def test_ctrl_c_prints_one_line(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "load_settings", interrupt)
    for command in ("run", "models", "chat", "pair"):
        result = parley(command)
        assert result.exit_code == 130
        assert result.stderr == "parley: interrupted\n"


def models(folder: Path, key: str, base_url: str) -> Result:
    environment = {"IOINTELLIGENCE_API_KEY": key, "IOINTELLIGENCE_BASE_URL": base_url}
    return parley_process(folder, "models", "--search", "phi-4", **environment)


@pytest.mark.slow
def test_models_lists_known_models_when_service_is_down(tmp_path: Path) -> None:
    result = models(tmp_path, "key-that-is-secret", "http://127.0.0.1:9/v1/")
    assert result.exit_code == 69
    assert "microsoft/phi-4" in result.stdout
    assert "cannot be reached (127.0.0.1: Connection refused)" in result.stderr
    assert "built-in list" in result.stderr
    assert len(result.stderr.splitlines()) == 1, "not even a wide line is broken"
    assert "key-that-is-secret" not in result.stderr


@pytest.mark.slow
async def test_models_reports_wrong_key(tmp_path: Path) -> None:
    service = ModelStandIn()
    await service.start()
    try:
        right = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url)
        wrong = await asyncio.to_thread(models, tmp_path, "another", service.base_url)
    finally:
        await service.close()
    assert (right.exit_code, right.stderr) == (0, "")
    assert wrong.exit_code == 78
    assert "microsoft/phi-4" in wrong.stdout
    assert "does not accept the key in IOINTELLIGENCE_API_KEY" in wrong.stderr
    assert not service.requests


@pytest.mark.slow
async def test_models_reports_address_without_version(tmp_path: Path) -> None:
    service = ModelStandIn()
    await service.start()
    try:
        result = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url.removesuffix("api/v1/"))
    finally:
        await service.close()
    assert result.exit_code == 78
    assert "answered 404 (127.0.0.1/)" in result.stderr
    assert "IOINTELLIGENCE_BASE_URL is probably wrong. For most services it ends in /v1." in result.stderr
    assert "microsoft/phi-4" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("region", "does not serve the country"),
        ("credit", "has no credit left"),
        ("proxy", "A proxy or a firewall answered"),
        ("path", ""),
        ("internal", ""),
    ],
)
async def test_models_reports_what_refuses_every_question(tmp_path: Path, reason: str, advice: str) -> None:
    service = ModelStandIn()
    await service.start()
    service.fault_hook = refuse(reason)
    try:
        result = await asyncio.to_thread(models, tmp_path, service.api_key, service.base_url)
    finally:
        await service.close()
    assert result.exit_code == (78 if advice else 0)
    assert advice in result.stderr
    assert "microsoft/phi-4" in result.stdout


def test_sandbox_without_a_browser_and_in_the_terminal_is_wrong_usage(parley: Parley) -> None:
    result = parley("sandbox", "--no-browser", "--terminal")
    assert result.exit_code == 2
    assert "--terminal: It cannot be used with --no-browser." in result.stderr


def test_sandbox_names_setting_that_it_cannot_use(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('answer_timeout = "soon"')
    result = parley("sandbox")
    assert result.exit_code == 78
    assert "answer_timeout" in result.stderr


def test_misspelled_model_is_reported(parley: Parley, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[contexts]\n"phi-4" = 9000\n"acme/unheard-of" = 9000\n')
    result = parley("config", "show")
    assert result.exit_code == 0
    assert "phi-4=9000" in result.stdout
    assert "PARLEY_CONTEXTS: the model phi-4 is not offered." in result.stderr
    assert "Did you mean microsoft/phi-4?" in result.stderr
    assert "unheard-of" not in result.stderr, "the service may have it"


def test_version_needs_no_settings(parley: Parley) -> None:
    result = parley("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"parley \d+\.\d+\.\d+\S*", result.stdout.strip())
    assert "IO Intelligence's open models" in parley().stdout

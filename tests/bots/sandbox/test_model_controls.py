"""Commands of the sandbox that make the model service stricter."""

import re
from pathlib import Path

import pytest

from bots.sandbox import model_controls as controls
from bots.sandbox.model import OVERFLOW_RESPONSES, ModelStandIn
from bots.sandbox.model.answer_shapes import AnswerShape
from bots.sandbox.model.faults import ReasoningFormat
from bots.sandbox.model.refusals import REFUSALS
from bots.sandbox.model_controls import model_commands


async def run(service: ModelStandIn, line: str) -> str | None:
    name, _, argument = line.partition(" ")
    commands = {command.name: command for command in model_commands(service)}
    return await commands[name].run(argument)


async def test_refusals_are_switched_on_and_off() -> None:
    service = ModelStandIn()
    strictness = service.strictness
    assert await run(service, ":system") == "The service rejects the system role."
    assert await run(service, ":alternate") == "Questions and answers must alternate."
    assert await run(service, ":reject stream_options") == "The service rejects stream_options."
    assert (strictness.rejects_system_role, strictness.requires_alternation) == (True, True)
    assert strictness.rejected_fields == {"stream_options"}
    assert await run(service, ":system") == "The service accepts the system role."
    assert await run(service, ":alternate") == "Questions and answers need not alternate."
    assert await run(service, ":reject stream_options") == "The service accepts stream_options."
    assert (strictness.rejects_system_role, strictness.requires_alternation) == (False, False)
    assert not strictness.rejected_fields


async def test_unknown_field_is_explained() -> None:
    with pytest.raises(ValueError, match="One of stream_options"):
        await run(ModelStandIn(), ":reject messages")


async def test_window_shrinks_to_a_plausible_size() -> None:
    service = ModelStandIn()
    assert (
        await run(service, ":window falcon 600") == "tiiuae/Falcon3-10B-Instruct now refuses requests over 600 tokens."
    )
    with pytest.raises(ValueError, match="at least 512"):
        await run(service, ":window falcon 400")


async def test_answers_change_their_form() -> None:
    service = ModelStandIn()
    assert await run(service, ":shape parts") == "Answers come as: parts."
    assert service.answer_shape is AnswerShape.PARTS
    assert await run(service, ":reasoning bracket") == "Reasoning comes as: [THINK]...[/THINK] before the answer."
    assert service.reasoning_format is ReasoningFormat.BRACKET_TAGS
    with pytest.raises(ValueError, match="One of stream, parts"):
        await run(service, ":shape round")


async def test_questions_are_refused_until_switched_off() -> None:
    service = ModelStandIn()
    assert await run(service, ":refuse region") == "The service answers every question with: region."
    assert service.fault_hook is not None
    assert service.fault_hook({"stream": True}) is REFUSALS["region"]
    await run(service, ":refuse streaming")
    assert service.fault_hook({"stream": True}) is REFUSALS["streaming"]
    assert service.fault_hook({}) is None
    assert await run(service, ":refuse off") == "The service answers again."
    assert service.fault_hook is None


async def test_repair_brings_a_model_back_and_says_how_to_choose_it() -> None:
    service = ModelStandIn()
    commands = {command.name: command for command in model_commands(service)}
    models = dict(service.models)
    assert await commands[":repair"].run("") == "The service works again as it did at the start."
    await commands[":gone"].run("phi-4")
    assert service.models != models
    notice = await commands[":repair"].run("")
    assert notice is not None
    assert "It offers phi-4 again: chats that switched to another model can choose it again with /model." in notice
    assert service.models == models


def test_every_command_has_a_control_on_the_page() -> None:
    source = (Path(controls.__file__).parent / "page" / "inside" / "switches.js").read_text()
    commands = {command.name for command in model_commands(ModelStandIn())}
    assert set(re.findall(r'":[a-z]+"', source)) == {f'"{name}"' for name in commands - {":repair"}}
    assert "service.repair" in (Path(controls.__file__).parent / "page" / "inside" / "view.js").read_text()


async def test_too_long_requests_are_refused_in_other_words_until_the_repair() -> None:
    service = ModelStandIn()
    commands = {command.name: command for command in model_commands(service)}
    for name, response in OVERFLOW_RESPONSES.items():
        await commands[":overflow"].run(name)
        assert service.overflow_response is response
    with pytest.raises(ValueError, match="One of vllm"):
        await commands[":overflow"].run("none")
    await commands[":repair"].run("")
    assert service.overflow_response is OVERFLOW_RESPONSES["vllm"]

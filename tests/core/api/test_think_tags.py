"""Reasoning inside the answer: which tags count, and where."""

import itertools

import pytest

from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning
from core.api.think_tags import ThinkTagParser


def separate(pieces: list[str], *, has_reasoning: bool = False) -> tuple[str, str]:
    """The reasoning and the text of an answer that arrives in `pieces`."""
    parser, reasoning, text = ThinkTagParser(has_reasoning), "", ""
    for event in itertools.chain(*map(parser.feed, pieces), parser.flush()):
        match event:
            case ReasoningDelta(piece):
                reasoning += piece
            case TextDelta(piece):
                text += piece
            case TextWasReasoning():
                reasoning, text = reasoning + text, ""
    return reasoning, text


SEPARATED = [
    ("[THINK]a[/THINK]b", "a", "b"),
    ("<mm:think>a</mm:think>b", "a", "b"),
    ("<seed:think>a</seed:think>b", "a", "b"),
    ("<THINK>a</THINK>b", "a", "b"),
    ("<Thinking>a</Thinking>\n\nb", "a", "b"),
    ("◁think▷a◁/think▷b", "a", "b"),
    ("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>", "a", "b"),
    ("<|think|>a<|/think|>b", "a", "b"),
    ("\ufeff<think>a</think>b", "a", "b"),
    ("<longcat_think>a</longcat_think>b", "a", "b"),
    ("<think >a</think >b", "a", "b"),
    ("<think\n>a</think\n>b", "a", "b"),
    ("<my-think>a</my-think>b", "a", "b"),
    ("<|thinking|>a<|/thinking|>b", "a", "b"),
    ("<unused94>thought\na<unused95>b", "\na", "b"),
    # Channels
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
        "a",
        "b",
    ),
    ("<|start|>assistant<|channel|>final<|message|>b<|end|>", "", "b"),
    ("<|channel|>analysis<|message|>a<|end|><|channel|>commentary<|message|>c<|end|>b", "ac", "b"),
    ("<|channel>thought\na<channel|>b", "\na", "b"),
    ("The marks <|channel|>final and <|end|> are text.", "", "The marks <|channel|>final and <|end|> are text."),
    # More blocks
    ("<think>a</think>b<think>c</think>d", "ac", "bd"),
    ("<think>a</think><think>c</think>d", "ac", "d"),
    ("<think>a</think>b\n\n<think>c</think>\n\nd<think>e</think>f", "ace", "b\n\n\n\ndf"),
    ("<think>a</think>b<think></think>c", "a", "bc"),
    # Tags for the answer
    ("<think>a<final>b</final>", "a", "b"),
    ("<think>a<response>b</response>", "a", "b"),
    ("<think>a</think><answer>b</answer>", "a", "b"),
    ("<think>a</think>\n<final>\nb</final> c", "a", "b c"),
    ("<think>I write <final> soon</think>b", "I write soon", "b"),
    # Nested and empty tags, attributes
    ("<think>a <think>b</think> c</think>d", "a <think>bc", "d"),
    ("<think>a <think>b <think>c</think> d</think> e</think>f", "a <think>b <think>cde", "f"),
    ("<think>a <think>b</think></think>c", "a <think>b", "c"),
    ("<think>about the <think> tag</think>b", "about the <think> tag", "b"),
    ("<think>a</think>b<think>c <think>d</think> e</think>f", "ac <think>d</think> e", "bf"),
    ("<think>a</think>b<think>see <think> here</think>c", "asee <think> here", "bc"),
    ("<think>a\n<think>\nb\n</think>\nc\n</think>\nd", "a\n<think>\nb\nc\n", "d"),
    ("<think><think>a</think>b</think>c", "<think>ab", "c"),
    # Sentences about tags in reasoning and answer
    (
        "<think>The user mentions <think> tags.</think>To close it, write </think> after it.",
        "The user mentions <think> tags.",
        "To close it, write </think> after it.",
    ),
    ("<think>the <think> tag</think>It ends</think>\n\nwith it.", "the <think> tag", "It ends</think>\n\nwith it."),
    ("<think>a <think>, <think>.</think>b</think> c", "a <think>, <think>.", "b</think> c"),
    (
        '<think>a <think>b</think>Write "</think>" and </think>, (</think>).',
        "a <think>b",
        'Write "</think>" and </think>, (</think>).',
    ),
    ("<think>a <think>x</think>The answer.</think>", "a <think>x", "The answer."),
    ("<think>a <think>x</think>The answer.</think>\n<|im_end|>", "a <think>x", "The answer."),
    ("<think>关于<think>标签</think>写</think>即可", "关于<think>标签", "写</think>即可"),
    (
        "<think>a</think>b<think>the <think> tag</think>Write </think> last.",
        "athe <think> tag",
        "bWrite </think> last.",
    ),
    ("<think>a</think>b<think>c <think>d</think>Write </think> last.", "ac <think>d", "bWrite </think> last."),
    ("<think/>b", "", "b"),
    ("<think />\n\nb", "", "b"),
    ("<thinking/><think>a</think><think/>b<think/>c", "a", "b<think/>c"),
    ("a <think/> b", "", "a <think/> b"),
    ("<think>a</think>b `<think/>` c", "a", "b `<think/>` c"),
    ('<think type="x">a</think>b', "a", "b"),
    ("<think type='x y' level=2 >a</think>b", "a", "b"),
    ('<think id="1"/>b', "", "b"),
    ("<think about it>a", "", "<think about it>a"),
    # Scratchpads
    ("<scratchpad>a</scratchpad>\nb", "a", "b"),
    ("<reflection>a</reflection><antthinking>c</antthinking>b", "ac", "b"),
    ("<scratchpad>a <scratchpad>b</scratchpad></scratchpad>c", "a <scratchpad>b</scratchpad>", "c"),
    ("<reflection>The whole answer.</reflection>", "", "The whole answer."),
    ("<scratchpad>\na\n</scratchpad>\n<reflection>b</reflection>\n", "", "a\n\nb"),
    ("<scratchpad>a</scratchpad><|im_end|>", "", "a"),
    ("<scratchpad>a <scratchpad>b</scratchpad>", "", "a <scratchpad>b"),
    ("<scratchpad>a</scratchpad><think>c</think>b", "ca", "b"),
    ("<scratchpad>a</scratchpad><think>c</think>", "c", "a"),
    ("<scratchpad> is a tag.", "", "<scratchpad> is a tag."),
    ("Write <scratchpad>a</scratchpad>.", "", "Write <scratchpad>a</scratchpad>."),
    ("<scratchpad>see </think></scratchpad>b", "see </think>", "b"),
    # Tokens at the end
    ("<think>a</think>b<|im_end|>", "a", "b"),
    ("b</s>", "", "b"),
    # Text about tags
    ("<think>see `</think>` or `<final>` in code</think>b", "see `</think>` or `<final>` in code", "b"),
    ("<think>in `code`</think>`b` is it", "in `code`", "`b` is it"),
    ("Use the `<think>` tag.", "", "Use the `<think>` tag."),
    ("`<think>` and `</think>` mark it.", "", "`<think>` and `</think>` mark it."),
    ("a <think> in the text </think> stays", "", "a <think> in the text </think> stays"),
    ("<think>a</think>Use the `<think>` tag, then `</think>`.", "a", "Use the `<think>` tag, then `</think>`."),
    ("<think>a</think>Use the <think> tag.", "a", "Use the <think> tag."),
    ("<think>a</think>```xml\n<think>b</think>\n```", "a", "```xml\n<think>b</think>\n```"),
    ("<think>a</think>``x`<think>`` b", "a", "``x`<think>`` b"),
    ("<final>b</final>", "", "<final>b</final>"),
    ("[link](https://example.org) [1] [think about it]", "", "[link](https://example.org) [1] [think about it]"),
    ("1 < 2 <b", "", "1 < 2 <b"),
    # Code that has ended
    ("<think>a</think>`x` <think>c</think>d", "ac", "`x` d"),
    ("<think>a</think>a ` alone\n\n<think>c</think>d", "ac", "a ` alone\n\nd"),
    ("<think>a</think>```\nx\n```\n<think>c</think>d", "ac", "```\nx\n```\nd"),
]


@pytest.mark.parametrize(("answer", "reasoning", "text"), SEPARATED)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reasoning_is_separated(answer: str, reasoning: str, text: str, size: int) -> None:
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
    assert separate(pieces) == (reasoning, text)


@pytest.mark.parametrize(
    ("answer", "reasoning", "text"),
    [
        ("a</think>b", "a", "b"),
        ("a[/THINK]b", "a", "b"),
        ("a</think><scratchpad>b</scratchpad>c", "ab", "c"),
        ("a</think><scratchpad>b</scratchpad>", "a", "b"),
        ("Use the `<think>` tag and `</think>`.", "", "Use the `<think>` tag and `</think>`."),
        ("b<think>c</think>d", "c", "bd"),
        ("b<think>c", "", "b<think>c"),
        ("b<|end|>c", "", "b<|end|>c"),
    ],
)
def test_model_known_to_reason(answer: str, reasoning: str, text: str) -> None:
    for pieces in ([answer], list(answer)):
        assert separate(pieces, has_reasoning=True) == (reasoning, text)


def test_unclosed_reasoning_is_known() -> None:
    parser = ThinkTagParser()
    assert parser.feed("<think>a") == [ReasoningDelta("a")]
    assert parser.is_inside_reasoning
    parser.feed("</think>")
    assert not parser.is_inside_reasoning


def test_scratchpad_counts_as_progress() -> None:
    parser = ThinkTagParser()
    assert parser.feed("<scratchpad>abc</scratchpad>") == []
    assert parser.buffered_chars == 3
    assert parser.feed("d") == [ReasoningDelta("abc"), TextDelta("d")]
    assert parser.buffered_chars == 0


def test_later_block_counts_as_progress() -> None:
    parser = ThinkTagParser()
    parser.feed("<think>a</think>b<think>c")
    before = parser.buffered_chars
    assert parser.feed("d") == []
    assert parser.buffered_chars == before + 1

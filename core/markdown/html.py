"""Reads the HTML that models write in running text and table cells; every other tag is text. `details` reads blocks.

    a<br>b                                  two lines
    H<sub>2</sub>O, x<sup>2</sup>           H₂O, x²
    <b>, <i>, <s>, <code>, <a href="...">   what the Markdown marks mean
    <ul><li>a</li><li>b</li></ul>           a line for each item
    <details><summary>a</summary>b</details>    two lines, the first bold

A tag without its closing tag is text, too, so that a growing answer shows it until the end arrives. What is between two
tags is Markdown; a dialect decides which addresses become links, as for Markdown's own.
"""

import re
from html import unescape

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from core.markdown.details import SUMMARY_PATTERN
from core.markdown.tex_symbols import to_script

TAG_PATTERN = re.compile(r"<([a-z]{1,7})\s{0,4}/?>", re.IGNORECASE)
OTHER_ATTRIBUTES = r"(?:\s{1,4}(?!href\b)[a-z-]{1,20}\s?=\s?(?:\"[^\"<>]{0,200}\"|'[^'<>]{0,200}')){0,8}"
LINK_PATTERN = re.compile(
    rf"<(a){OTHER_ATTRIBUTES}\s{{1,4}}href\s?=\s?"
    rf"(?:\"\s{{0,4}}([^\"<>\s]{{1,2000}})\s{{0,4}}\"|'\s{{0,4}}([^'<>\s]{{1,2000}})\s{{0,4}}'|([^\"'<>=`\s]{{1,2000}}))"
    rf"{OTHER_ATTRIBUTES}\s{{0,4}}>",
    re.IGNORECASE,
)
BREAK_PATTERN = re.compile(r"<(?:/br|br\s{0,4}/?)>", re.IGNORECASE)
ITEM_PATTERN = re.compile(r"\s{0,100}<(/?)li>\s{0,100}", re.IGNORECASE)
MARKUP = {
    "b": "strong",
    "strong": "strong",
    "mark": "strong",
    "summary": "strong",
    "i": "em",
    "em": "em",
    "u": "u",
    "s": "s",
    "del": "s",
    "strike": "s",
    "a": "link",
    "details": "details",
    "ul": "list",
    "ol": "list",
}
SCRIPTS = {"sub": "_", "sup": "^"}
RAW_TAGS = frozenset(("code", "sub", "sup"))


def add_html(grammar: MarkdownIt) -> None:
    grammar.inline.ruler.before("autolink", "html", _html_rule)


def _html_rule(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "<":
        return False
    return _break_rule(state, silent) or _item_rule(state, silent) or _pair_rule(state, silent)


def _break_rule(state: StateInline, silent: bool) -> bool:
    tag = BREAK_PATTERN.match(state.src, state.pos, state.posMax)
    if tag is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = tag.end()
    return True


def _item_rule(state: StateInline, silent: bool) -> bool:
    tag = ITEM_PATTERN.match(state.src, state.pos, state.posMax)
    if tag is None or not state.env.get("html_lists"):
        return False
    if not silent and not tag[1]:
        if not _begins_line(state):
            state.push("hardbreak", "br", 0)
        state.push("text", "", 0).content = "• "
    state.pos = tag.end()
    return True


def _begins_line(state: StateInline) -> bool:
    """Whether a line break comes directly before, so that an item needs none."""
    if state.pending:
        return False
    last = next((token.type for token in reversed(state.tokens) if token.type != "list_open"), "")
    return last in ("softbreak", "hardbreak")


def _pair_rule(state: StateInline, silent: bool) -> bool:
    link = LINK_PATTERN.match(state.src, state.pos, state.posMax)
    tag = link or TAG_PATTERN.match(state.src, state.pos, state.posMax)
    name = tag[1].lower() if tag else ""
    if tag is None or name not in MARKUP.keys() | RAW_TAGS or (name == "a") != bool(link):
        return False
    closer = f"</{name}>"
    end = _find_closer(state, closer, tag.end())
    if end < 0:
        return False
    if name in RAW_TAGS:
        content = state.src[tag.end() : end]
        if not content.strip() or ("<code" if name == "code" else "<") in content.lower():
            return False
        if not silent:
            _push_raw(state, name, content)
    elif name == "details" and not SUMMARY_PATTERN.match(state.src, tag.end(), end):
        return False
    elif not silent:
        _push_pair(state, name, link[2] or link[3] or link[4] if link else "", tag.end(), end)
        if name == "summary":
            state.push("hardbreak", "br", 0)
    state.pos = end + len(closer)
    return True


def _find_closer(state: StateInline, closer: str, start: int) -> int:
    """Where `closer` begins; each text is searched once for the last one, so that many openers cost little."""
    key = f"last {closer}"
    last = state.env.get(key)
    if last is None or last[0] is not state.src:
        last = state.env[key] = (state.src, state.src.lower().rfind(closer))
    if last[1] < start or last[1] >= state.posMax:
        return -1
    match = re.compile(re.escape(closer), re.IGNORECASE).search(state.src, start, state.posMax)
    return match.start() if match else -1


def _push_raw(state: StateInline, name: str, content: str) -> None:
    if name == "code":
        state.push("code_inline", "code", 0).content = unescape(content)
    else:
        state.push("text", "", 0).content = to_script(content, SCRIPTS[name])


def _push_pair(state: StateInline, name: str, url: str, start: int, end: int) -> None:
    kind, pos_max = MARKUP[name], state.posMax
    if state.level >= state.md.options.maxNesting:
        state.push("text", "", 0).content = state.src[start:end]
        return
    token = state.push(f"{kind}_open", name, 1)
    token.attrs = {"href": url} if url else {}
    if kind == "list":  # without the line breaks before the first item and after the last one
        content = state.src[start:end]
        start += len(content) - len(content.lstrip())
        end = max(start, end - (len(content) - len(content.rstrip())))
    state.pos, state.posMax = start, end
    lists = state.env.get("html_lists", 0)
    state.env["html_lists"] = lists + (kind == "list")
    state.md.inline.tokenize(state)
    state.env["html_lists"] = lists
    state.posMax = pos_max
    state.push(f"{kind}_close", name, -1)

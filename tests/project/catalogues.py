"""The catalogues of `core/i18n/catalogues`: brings them up to date with the source, and checks the translations.

python -m tests.project.catalogues           adds new messages, removes unused ones
python -m tests.project.catalogues --check   prints what is wrong, one line a problem
"""

import pkgutil
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract

import core.texts
from bots.discord.commands import MAX_MESSAGE_COMMAND_CHARS, MESSAGE_COMMANDS
from bots.discord.localised_names import COMMAND_NAMES, MAX_NAME_CHARS, OPTION_NAMES, to_name
from core.commands.declarations import COMMANDS
from core.i18n.translation import CATALOGUES, ENGLISH, LANGUAGES

ROOT = Path(__file__).parents[2]
KEYWORDS = {"gettext": None, "gettext_noop": None, "ngettext": (1, 2)}
TRANSLATED = [language for language in LANGUAGES if language != ENGLISH]
UNSTABLE_HEADERS = (
    "POT-Creation-Date",
    "PO-Revision-Date",
    "Last-Translator",
    "Language-Team",
    "Generated-By",
    "Report-Msgid-Bugs-To",
)
LINE_WIDTH = 110

MAX_BUTTON_CHARS = 20
"""Three buttons have to fit a row on a phone."""
MAX_DESCRIPTION_CHARS = 100
"""Of a command or an argument on Discord."""

DISCORD_NAME = re.compile(rf"[-_\w]{{1,{MAX_NAME_CHARS}}}")
"""What Discord accepts as the name of a command or an option, in lower case. Its documentation allows apostrophes, but its
API refuses them (discord/discord-api-docs#7371)."""

PLACEHOLDER = re.compile(r"\{(\w*)\}")
CODE = re.compile(r"`[^`]*`")
COMMAND = re.compile(r"(?<![\w/])/[a-z]+")
FIXED_WORD = re.compile(r"[a-z0-9/{}_.|,-]+")
"""Of code: what people type as it is. Other words stand for something, such as `TEXT`, and may be translated."""


@dataclass(frozen=True, slots=True)
class Problem:
    language: str
    message: str
    """In English."""
    text: str

    def __str__(self) -> str:
        return f"{self.language}: {self.text}: {self.message!r}"


def extract_messages() -> Catalog:
    """All messages that the source marks, with the files in which they are."""
    template = Catalog(project="Parley", version="", header_comment="", fuzzy=False)
    for path in sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "bots").rglob("*.py")]):
        name = path.relative_to(ROOT).as_posix()
        with path.open("rb") as file:
            for _, message, _, _ in extract("python", file, KEYWORDS):
                template.add(message, locations=[(name, 0)])
    return template


def read_catalogue(language: str) -> Catalog:
    path = CATALOGUES / f"{language}.po"
    if not path.exists():
        return Catalog(locale=language, project="Parley", version="", header_comment="", fuzzy=False)
    with path.open("rb") as file:
        return pofile.read_po(file, locale=language)


def update_catalogue(language: str, template: Catalog) -> None:
    catalogue = read_catalogue(language)
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    written = BytesIO()
    pofile.write_po(written, catalogue, width=LINE_WIDTH, sort_by_file=True, include_lineno=False)
    lines = written.getvalue().decode().lstrip("\n").splitlines(keepends=True)
    stable = [line for line in lines if not line.startswith(tuple(f'"{name}' for name in UNSTABLE_HEADERS))]
    (CATALOGUES / f"{language}.po").write_text("".join(stable))


def find_gaps(language: str, template: Catalog) -> Iterator[Problem]:
    """What only somebody who speaks the language can mend: new, changed and doubtful messages."""
    catalogue = read_catalogue(language)
    for message in template:
        if not message.id:
            continue
        translation = catalogue.get(message.id)
        if translation is None or not all(_translations(translation)):
            yield Problem(language, _english(message), "not translated")
    for message in catalogue:
        if message.id and template.get(message.id) is None:
            yield Problem(language, _english(message), "unused: the source does not contain it, or words it otherwise")
        elif message.id and message.fuzzy:
            yield Problem(language, _english(message), "fuzzy: compare it with the English text, and remove the mark")


def find_defects(language: str) -> Iterator[Problem]:
    """Translations that would break a message, or that a platform would not accept."""
    limits = character_limits()
    for message in read_catalogue(language):
        if not message.id:
            continue
        english = _english(message)
        if any(_translations(message)) and not all(_translations(message)):
            yield Problem(language, english, "some forms of the plural are not translated")
        for translation in filter(None, _translations(message)):
            if _placeholders(translation) != _placeholders(english):
                yield Problem(language, english, f"placeholders differ in {translation!r}")
            if english in COMMAND_NAMES:
                name = translation.removeprefix("/")
                if not (translation == f"/{name}" == translation.lower() and DISCORD_NAME.fullmatch(name)):
                    yield Problem(
                        language, english, f"Discord does not accept {translation!r} as the name of a command"
                    )
                continue
            if _marks(translation) != _marks(english):
                yield Problem(language, english, f"Markdown or commands differ in {translation!r}")
            if translation.strip() != translation and english.strip() == english:
                yield Problem(language, english, f"space around {translation!r}")
            if english in OPTION_NAMES and not DISCORD_NAME.fullmatch(to_name(translation)):
                yield Problem(language, english, f"Discord does not accept {translation!r} as the name of an option")
            if len(translation) > limits.get(english, len(translation)):
                yield Problem(language, english, f"{len(translation)} characters, of at most {limits[english]}")


def character_limits() -> dict[str, int]:
    """By English text: how long a translation may be."""
    modules = [import_module(f"core.texts.{module.name}") for module in pkgutil.iter_modules(core.texts.__path__)]
    buttons = [
        text
        for module in modules
        for name, text in vars(module).items()
        if name.endswith("_BUTTON") and name != "OUTDATED_BUTTON"
    ]
    descriptions = [command.description for command in COMMANDS]
    descriptions += [argument.description for command in COMMANDS for argument in command.arguments]
    limits = dict.fromkeys(descriptions, MAX_DESCRIPTION_CHARS) | dict.fromkeys(buttons, MAX_BUTTON_CHARS)
    return limits | dict.fromkeys(MESSAGE_COMMANDS, MAX_MESSAGE_COMMAND_CHARS)


def _english(message: Message) -> str:
    """Of a message with a plural, the plural: it has all placeholders."""
    return message.id if isinstance(message.id, str) else message.id[1]


def _translations(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))


def _placeholders(text: str) -> set[str]:
    return set(PLACEHOLDER.findall(text))


def _marks(text: str) -> Counter[str]:
    code = [
        " ".join(w if FIXED_WORD.fullmatch(w) else "WORD" for w in span.strip("`").split())
        for span in CODE.findall(text)
    ]
    without_code = CODE.sub("", text)
    marks = Counter(code) + Counter(COMMAND.findall(without_code))
    marks["**"] = without_code.count("**")
    marks["`"] = without_code.count("`")
    marks["- "] = int(text.startswith("- "))
    return marks


def main() -> None:
    template = extract_messages()
    if "--check" not in sys.argv:
        for language in TRANSLATED:
            update_catalogue(language, template)
    problems = [p for language in TRANSLATED for p in (*find_gaps(language, template), *find_defects(language))]
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if problems:
        sys.exit(f"{len(problems)} problems in {CATALOGUES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

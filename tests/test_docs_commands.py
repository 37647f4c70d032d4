"""Every command of README and docs exists: its flags, the script, the target, the extra.

Commands that stand on a line of their own are parsed as the terminal would; of those inside a
sentence, which may be shortened, the flags are looked up.
"""

import pathlib
import re
import shlex

import pytest

from boxloss import cli

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
INLINE = re.compile(r"`((?:boxloss|make|python|pip install) [^`]+)`")
PROGRAM = re.compile(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(boxloss|python|make|pip) ")
# Scripts that are a command under another name.
SAME = {name.replace("-", "_"): name for name in cli.COMMANDS}


def commands(text):
    """(command, whether it is whole) of every command of a page."""
    blocks = [code for language, code in FENCE.findall(text) if language in ("", "sh")]
    prose = FENCE.sub("", text)
    blocks += INDENTED.findall(prose)
    for block in blocks:
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if PROGRAM.match(line.strip()):
                yield line.strip().removeprefix("$ "), True
    for line in INLINE.findall(" ".join(prose.split())):
        yield line, False


def words_of(line):
    words = shlex.split(line, comments=True)
    while "=" in words[0] and not words[0].startswith("-"):
        words = words[1:]
    return words


def wrong_flags(words, known):
    return [word for word in words if word[:2] == "--" and word.split("=")[0] not in known]


def wrong_command(words, whole):
    """Why the arguments of `boxloss` would be refused; None if they would not."""
    name, *rest = words
    if name.startswith("-"):
        return None if name in ("--version", "--help") else f"no flag {name}"
    if name not in cli.COMMANDS:
        return None if name == "COMMAND" or name.isupper() else f"no command {name}"
    parser = cli.parser_of(f"boxloss {name}", cli.module_of(name))
    unknown = wrong_flags(rest, parser._option_string_actions)  # argparse takes beginnings too
    if unknown or not whole:
        return ", ".join(unknown) or None
    try:
        parser.parse_args(rest)
    except SystemExit:
        return "the parser refuses it"
    return None


def wrong_script(words, whole):
    if words[0] == "-m":
        return wrong_command(words[2:], whole) if words[1] == "boxloss" else None
    if not words[0].startswith(("scripts/", "tests/")):
        return None
    path = ROOT / words[0]
    if not path.is_file():
        return f"no script {words[0]}"
    if path.parent.name == "scripts" and path.stem in SAME:
        return wrong_command([SAME[path.stem], *words[1:]], whole)
    # What a script shares with a command it takes from there.
    shared = cli.parser_of("", cli.module_of("train"))._option_string_actions
    code = path.read_text("utf-8")
    known = {*shared, *re.findall(r'"(--[\w-]+)"', code)}
    if 'f"--{' in code:  # flags that are made of names
        known |= {f"--{name}" for name in re.findall(r'"([a-z-]+)"', code)}
    return ", ".join(wrong_flags(words[1:], known)) or None


def wrong_install(words):
    extras = re.findall(
        r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    for word in words:
        for extra in re.findall(r"^boxloss\[(.*?)\]", word):
            if not set(extra.split(",")) <= set(extras):
                return f"no extra {extra}"
    return None


def wrong_target(words):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    missing = [word for word in words if "=" not in word and word not in targets]
    return f"no target {missing}" if missing else None


def wrong(line, whole):
    """Why a command is none; None if it is one."""
    program, *rest = words_of(line)
    if program == "boxloss":
        return wrong_command(rest, whole)
    if program == "make":
        return wrong_target(rest)
    return wrong_script(rest, whole) if program == "python" else wrong_install(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_commands(page, capsys):
    found = [(line, wrong(line, whole)) for line, whole in commands(page.read_text("utf-8"))]
    assert [(line, why) for line, why in found if why] == []


def test_the_commands_are_found():
    found = [line for page in PAGES for line, _ in commands(page.read_text("utf-8"))]
    assert len(found) > 80
    assert {words_of(line)[0] for line in found} == {"boxloss", "make", "pip", "python"}


@pytest.mark.parametrize(
    "text",
    [
        "    boxloss train --images a --annotations b --out c --epoch 3 --bin 4\n",
        "```sh\nboxloss train --images a\n```\n",
        "```\nboxloss trian --images a\n```\n",
        "Use `boxloss audit --histroy RUN`.",
        "    python scripts/simulate.py --los giou\n    python scripts/nothing.py\n",
        "    python scripts/benchmarks/training.py --sedes 1\n",
        '```sh\npip install "boxloss[trian]"\n```\n',
        "Run `make tset`.",
    ],
)
def test_what_is_no_command_is_seen(text, capsys):
    assert any(wrong(line, whole) for line, whole in commands(text))

"""The class names of a YOLO `data.yaml`, read without a YAML library.

Understood are the forms in which such files are written: `names` as a block list, a block map from
class numbers, or either between brackets, over one line or several; plain, 'single' and "double"
quoted texts; comments. Other keys are skipped. Anything else in `names` (anchors, tags, nested
values, texts over several lines) is refused with its line number.
"""

import json
import re

from boxloss import files
from boxloss.files import one_line, shortened

QUOTED = r"""'(?:[^'\n]|'')*'|"(?:[^"\\\n]|\\.)*\""""
START = r"""[^\s'"&*!|>%@`\[\]{},?#:-]"""  # what a plain text may start with
NUMBER = r"""(?P<quote>['"]?)(?P<number>\d{1,9})(?P=quote)\s*:"""
END = r"(?:\s+#.*)?\s*$"
BLOCK_VALUE = rf"(?P<value>{QUOTED}|{START}.*?){END}"
BLOCK_ITEM = re.compile(rf"\s*-\s+{BLOCK_VALUE}")
BLOCK_PAIR = re.compile(rf"\s+{NUMBER}\s+{BLOCK_VALUE}")
FLOW_VALUE = rf"(?P<value>{QUOTED}|{START}(?:[^,\[\]{{}}:#\n]|:(?=[^\s,\[\]{{}}])|(?<=\S)#)*)"
FLOW_ITEM = re.compile(FLOW_VALUE)
FLOW_PAIR = re.compile(rf"{NUMBER}\s*{FLOW_VALUE}")
SKIPPED = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*")
NAMES = re.compile(r"""(['"]?)names\1\s*:(?=\s|$)""")


def read_names(path):
    """{class number: name} of the file at `path`. Raises ValueError `path: line n must ...`."""
    try:
        text = files.read_bytes(path).decode("utf-8-sig")
        return names_of(text)
    except UnicodeDecodeError as error:
        reason = f"file must be UTF-8 text. Received: {error}"
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{one_line(path)}: {reason}")


def names_of(text):
    """{class number: name} of the text of a `data.yaml`."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if NAMES.match(line)]
    if len(starts) != 1:
        raise ValueError(f"file must have one key 'names'. Received: {len(starts)}")
    first = starts[0]
    value = lines[first][NAMES.match(lines[first]).end() :].lstrip()
    if value.startswith(("[", "{")):
        pairs = _flow(value, lines[first + 1 :], first + 1)
    elif not value or value.startswith("#"):
        pairs = _block(lines[first + 1 :], first + 2)
    else:
        raise _refused(first + 1, value)
    names = {}
    for number, name, line in pairs:
        if number in names:
            raise ValueError(f"line {line} must have a number of its own. Received: {number}")
        names[number] = name
    return names


def _refused(line, received):
    rule = "must be a list of names or a map from class numbers to names"
    return ValueError(f"line {line} {rule}. Received: {shortened(received.strip())}")


def _block(lines, first):
    """(number, name, line) of `- name` and `number: name` lines, up to the next key."""
    pattern = None
    found = 0
    for line, text in enumerate(lines, first):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if not text.startswith((" ", "\t", "-")) or text.startswith("---"):
            return
        pattern = pattern or (BLOCK_ITEM if text.lstrip().startswith("-") else BLOCK_PAIR)
        match = pattern.match(text)
        if match is None:
            raise _refused(line, text)
        number = found if pattern is BLOCK_ITEM else int(match["number"])
        yield number, _text(match["value"], line), line
        found += 1


def _flow(value, lines, first):
    """(number, name, line) of what stands between brackets, here or on the following lines."""
    text = "\n".join([value, *lines])
    close = {"[": "]", "{": "}"}[text[0]]
    pattern = {"[": FLOW_ITEM, "{": FLOW_PAIR}[text[0]]
    position, found = 1, 0
    while True:
        position = SKIPPED.match(text, position).end()
        line = first + text.count("\n", 0, position)
        if text[position : position + 1] == close:
            return
        match = pattern.match(text, position)
        after = SKIPPED.match(text, match.end()).end() if match else position
        if match is None or text[after : after + 1] not in (",", close):
            raise _refused(line, text[position:].split("\n")[0])
        yield (
            found if pattern is FLOW_ITEM else int(match["number"]),
            _text(match["value"].rstrip(), line),
            line,
        )
        found += 1
        position = after + (text[after] == ",")


def _text(token, line):
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token.startswith('"'):
        try:
            return json.loads(token)  # JSON's escapes are YAML's commonest
        except ValueError:
            raise _refused(line, token) from None
    if ": " in token or token.endswith(":"):
        raise _refused(line, token)
    return token

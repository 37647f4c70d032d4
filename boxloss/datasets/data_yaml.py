"""The class names and folders of a YOLO `data.yaml`, read without a YAML library.

These forms are understood, because tools write them: `names` as a block list, a block map from
class numbers, or either between brackets, over one line or several; plain, 'single' and "double"
quoted texts; comments. `path`, `train`, `val`, `test` are texts or such lists; `nc` and `kpt_shape`
are numbers. Other keys are skipped. Anything else in `names` (anchors, tags, nested values, texts
over several lines) is refused with its line number.
"""

import json
import math
import re
from dataclasses import dataclass, field

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
KEY = re.compile(r"""(?P<mark>['"]?)(?P<key>[\w.-]+)(?P=mark)\s*:(?=\s|$)""")
PARTS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
MOST_CLASSES = 10**6


@dataclass
class DataYaml:
    """What boxloss reads of a `data.yaml`.

    names: {class number: name}. keypoints: numbers that follow the four of a box (pose), 0 for
    none. path: the root that the parts are relative to, as written. parts: {"train": [places],
    "val": ..., "test": ...}, as written: folders, or text files that list images.
    """

    names: dict
    keypoints: int = 0
    path: str = ""
    parts: dict = field(default_factory=dict)


def read(path):
    """The DataYaml of the file at `path`. Raises ValueError `path: line n must ...`."""
    try:
        text = files.decoded(files.read_bytes(path))
        return parsed(text)
    except UnicodeDecodeError as error:
        reason = f"file must be UTF-8 text. Received: {error}"
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{one_line(path)}: {reason}")


def parsed(text):
    """The DataYaml of the text of a `data.yaml`."""
    lines = text.splitlines()
    shape = [int(side) for side in _texts(lines, "kpt_shape") if side.isdecimal()]
    parts = {part: _texts(lines, key) for key, part in PARTS.items() if _starts(lines, key)}
    return DataYaml(
        names_of(text),
        math.prod(shape) if shape else 0,
        "".join(_texts(lines, "path")[:1]),
        {part: places for part, places in parts.items() if places},
    )


def names_of(text):
    """{class number: name} of the text of a `data.yaml`; with `nc` alone the numbers are names."""
    lines = text.splitlines()
    starts = _starts(lines, "names")
    count = "".join(_texts(lines, "nc"))
    if not starts and count.isdecimal() and int(count) <= MOST_CLASSES:
        return {number: str(number) for number in range(int(count))}
    if len(starts) != 1:
        raise ValueError(f"file must have one key 'names'. Received: {len(starts)}")
    names = {}
    for number, name, line in _pairs(lines, starts[0]):
        if number in names:
            raise ValueError(f"line {line} must have a number of its own. Received: {number}")
        names[number] = name.strip()
    return names


def _starts(lines, key):
    matches = ((number, KEY.match(line)) for number, line in enumerate(lines))
    return [number for number, match in matches if match and match["key"] == key]


def _texts(lines, key):
    """The value of a key as a list of texts: one for a plain value, none where it is not there."""
    starts = _starts(lines, key)
    if len(starts) != 1:
        return []
    line = lines[starts[0]]
    scalar = re.compile(rf"\s*{BLOCK_VALUE}").match(line, KEY.match(line).end())
    if scalar:
        text = _text(scalar["value"], starts[0] + 1).strip()
        return [] if text in ("", "~", "null") else [text]
    return [text for _, text, _ in _pairs(lines, starts[0])]


def _pairs(lines, first):
    """(number, text, line) of the list or map that begins in line `first`, counted from 0."""
    value = lines[first][KEY.match(lines[first]).end() :].lstrip()
    if value.startswith(("[", "{")):
        return _flow(value, lines[first + 1 :], first + 1)
    if not value or value.startswith("#"):
        return _block(lines[first + 1 :], first + 2)
    raise _refused(first + 1, value)


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
    """(number, name, line) of the items between brackets, here or on the following lines."""
    text = "\n".join([value, *lines])
    close = {"[": "]", "{": "}"}[text[0]]
    pattern = {"[": FLOW_ITEM, "{": FLOW_PAIR}[text[0]]
    position, found, line, counted = 1, 0, first, 0
    while True:
        position = SKIPPED.match(text, position).end()
        line, counted = line + text.count("\n", counted, position), position
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

"""What an id, a number, a flag, a name, a size and a file name may be, in every format.

Tools write the same value in many ways: an id as 7, 7.0, "7" or 7e0, a flag as 0, "0", false or
null, a file name with backslashes or with the folders of another machine. Each reader, and whatever
pairs a detector's results with the truth, asks these functions, so that one file means the same to
all of them. Every function takes anything that JSON, XML or a line of text can hold, and none
raises: None says that the value is no such thing.
"""

import math
import numbers
import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar
from urllib.parse import unquote, urlsplit

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
SPECIAL = ("nan", "inf", "infinity")
# Leading zeros make a text of digits a name: "007" is not 7 to whoever wrote it.
PADDED = re.compile(r"[+-]?0\d", re.ASCII)
LONGEST = 400  # characters of a number; int() of a long text takes quadratic time
EXACT = 2.0**53  # above, not every whole number is a float
YES = ("true", "yes", "y", "t", "on")
# A hostile name of 100,000 slashes would have as many endings, each as long.
MOST_PARTS = 32

Found = TypeVar("Found")


def number(value: Any) -> float | None:
    """`value` as a float: a number or its text, NaN and infinity included; never a truth value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:  # an integer of 400 digits
            return -math.inf if value < 0 else math.inf
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) <= LONGEST and NUMBER.fullmatch(text):
        return float(text)
    return float(text) if text.lstrip("+-").lower() in SPECIAL else None


def whole_number(value: Any) -> int | None:
    """`value` as an int where it is a whole number in any notation: 7, 7.0, "7", "7e0", "007"."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text[:1] in ("+", "-") else text
        if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST:
            return int(text)  # exact, which a float of more than 53 bits is not
    measured = number(value)
    if measured is None or not abs(measured) <= EXACT or not measured.is_integer():
        return None
    return int(measured)


def identifier(value: Any) -> int | str | None:
    """`value` as an id: the int of a whole number in any notation, else the text itself.

    1, 1.0, "1" and "1e0" are one id. A text of digits with leading zeros is itself ("007" is not
    7); `Ids` finds it by its number where nothing else has that number. Neither a fraction, a truth
    value nor an empty text is an id.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text or PADDED.match(text):
            return text or None
        whole = whole_number(text)
        return text if whole is None else whole
    return whole_number(value)


def flag(value: Any) -> bool:
    """Whether `value` says yes: a number other than 0, true, or a text of one of these.

    0, "0", "0.0", false, "false", "no", null, NaN, an empty text and what nobody understands (VOC's
    "Unspecified") are False: the box then counts.
    """
    if isinstance(value, (bool, type(None))):
        return bool(value)
    measured = number(value)
    if measured is not None:
        return measured != 0 and not math.isnan(measured)
    return isinstance(value, str) and value.strip().lower() in YES


def name(value: Any) -> str | None:
    """`value` as a class name: a text without the spaces around it, or a number as text."""
    if isinstance(value, str):
        return value.strip() or None
    measured = number(value)
    if measured is None or not math.isfinite(measured):
        return None
    whole = whole_number(value)
    return str(value if whole is None else whole)


def size(value: Any) -> int | None:
    """A side of an image in whole pixels; None where the picture itself must say it.

    That is so for absent, null, NaN, 0, -1 (VGG Image Annotator) and "unknown". Fractions are
    rounded.
    """
    measured = number(value)
    if measured is None or not 0.5 <= measured < EXACT:
        return None
    return round(measured)


class Ids(Generic[Found]):
    """What belongs to each id, found by any notation of it.

    >>> ids = Ids([("007", "a.jpg"), (12, "b.jpg")])
    >>> ids.get("12.0"), ids.get(7), ids.get("x")
    ('b.jpg', 'a.jpg', None)

    An id with leading zeros is found by its number too, unless another id has the same number.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Found]] = ()) -> None:
        self._found: dict[Hashable, Found] = {}
        self._padded: dict[int, list[Found]] = {}
        for key, found in pairs:
            self.add(key, found)

    def add(self, key: Any, found: Found) -> bool:
        """Remember `found`; False where `key` is no id or is taken already."""
        key = identifier(key)
        if key is None or key in self._found:
            return False
        self._found[key] = found
        if isinstance(key, str):
            whole = whole_number(key)
            if whole is not None:
                self._padded.setdefault(whole, []).append(found)
        return True

    def get(self, key: Any) -> Found | None:
        """What was added under this id, None where nothing or more than one thing was."""
        if type(key) is not int:
            key = identifier(key)
        if key in self._found:
            return self._found[key]
        whole = whole_number(key)
        same = [] if whole is None else self._padded.get(whole, [])
        if whole is not None and whole in self._found:
            same = [*same, self._found[whole]]
        return same[0] if len(same) == 1 else None

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self._found)


def paths_of(text: str) -> Iterator[tuple[str, str]]:
    """(path, what was taken off its front) for each path below a folder that `text` may mean.

    The most literal path comes first: the text itself; with backslashes as separators; with `%20`
    and the like decoded; then each of these with one, two, ... leading parts taken off, down to the
    bare file name. `./`, doubled and trailing slashes are dropped. No path is absolute or names a
    drive, and a name with `..` has none, so none leads out of the folder it is looked for in.

    >>> list(paths_of("C:\\\\photos\\\\a.png"))
    [('photos/a.png', 'C:'), ('a.png', 'C:/photos')]
    """
    seen = set()
    forms = [parts for parts in map(_parts, _spellings(text)) if ".." not in parts]
    for off in range(max(map(len, forms), default=0)):
        for form in forms:
            path = "/".join(form[off:])
            if path and path not in seen and not any(map(_leads_out, form[off:])):
                seen.add(path)
                yield path, "/".join(form[:off])


def stem(text: str) -> str:
    """The bare name of a file: without the folders of any system, and without its suffix."""
    base = text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    dot = base.rfind(".")
    return base if dot <= 0 else base[:dot]


def _spellings(text):
    forms = [text, text.replace("\\", "/")]
    forms += [form.strip() for form in forms]  # a list of names that was read line by line
    if "%" in text:
        forms.append(unquote(forms[-1]))
    if "?" in text:  # a URL with a query; Label Studio names local files in it, as `?d=sub/a.png`
        address = urlsplit(forms[3])
        forms += [unquote(address.path), unquote(address.query.partition("=")[2])]
    return dict.fromkeys(forms)


def _parts(path):
    root = ["/"] if path.startswith("/") else []
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return root + parts if len(parts) <= MOST_PARTS else ["/", *parts[-MOST_PARTS:]]


def _leads_out(part):
    return part == "/" or part[1:2] == ":"

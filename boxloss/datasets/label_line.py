"""One line of a YOLO label or result file: `class x_center y_center width height`, and its kin.

Behind the class there may also be an outline, as segmentation data has, or a box with keypoints, as
pose data has. The class may be a decimal (numpy.savetxt writes 0.000e+00) or a name. Commas and
semicolons separate like spaces; a comma inside numbers without any point is a decimal comma.
"""

import math
import re

from boxloss.datasets.values import number, whole_number

FIELDS = "have a class number, then x_center y_center width height"
AMBIGUOUS = "be a box or an outline, unless `kpt_shape` in data.yaml says that points follow a box"
SHARES = "have a box in shares of the image, numbers between 0 and 1"
LARGEST_SHARE = 2.0  # above, a number is a pixel or a percentage; boxes may hang out of their image
SEPARATORS = re.compile(r"[\s,;]+")
ROUNDING = 1e-3
HIDDEN, SEEN = 0.0, 2.0  # what a visibility flag may be


def split_line(text, key_of_name=None, any_name=False):
    """(class, numbers) of a line. Raises ValueError where it is no class with numbers behind it.

    key_of_name: {class name: key}, for lines that begin with a name. any_name: a name that is not
    in it is its own key.
    """
    fields = _fields(text)
    category = whole_number(fields[0])
    count = 1
    if category is None:
        count = next((i for i, field in enumerate(fields) if number(field) is not None), 0)
        name = " ".join(fields[:count])
        category = (key_of_name or {}).get(name, name if any_name else None)
    numbers = [number(field) for field in fields[count:]]
    if category in (None, "") or None in numbers:
        raise ValueError(text)
    return category, numbers


def _fields(text):
    fields = text.split()
    if "," not in text and ";" not in text:
        return fields
    if "." not in text and all("," in field.strip(",") for field in fields[1:]):
        return text.replace(",", ".").split()
    return SEPARATORS.split(text.strip())


def four_numbers(numbers, keypoints=0):
    """(x_center, y_center, width, height) of the numbers behind a class. Raises ValueError.

    keypoints: how many numbers follow a box, from `kpt_shape`. Where nothing says so, more than
    four numbers are an outline, and its box is meant; only what cannot be an outline is a pose.
    """
    if len(numbers) == 4 or (keypoints and len(numbers) == 4 + keypoints):
        return tuple(numbers[:4])
    if len(numbers) < 6 or keypoints:
        raise ValueError(numbers)
    if len(numbers) % 2 or max(numbers) > 1 + ROUNDING:
        if _flags_fit(numbers):
            return tuple(numbers[:4])
        if len(numbers) % 2:
            raise ValueError(numbers)
    xs, ys = numbers[0::2], numbers[1::2]
    x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def in_shares(four):
    """Whether the numbers of a box can be shares of an image; what is not finite is not judged."""
    return not any(LARGEST_SHARE < abs(value) < math.inf for value in four)


def _flags_fit(numbers):
    """Whether the numbers can be a box and points x, y, flag, each flag 0, 1 or 2."""
    flags = numbers[6::3]
    whole = (len(numbers) - 4) % 3 == 0
    return whole and all(HIDDEN <= value <= SEEN and value.is_integer() for value in flags)


class Outlines:
    """Collects long lines until one of them shows that they are outlines, not boxes with points.

    A polygon and a box with keypoints are both an even number of values in [0, 1]. In pose data
    every line has as many values, its first four are a box inside the image and the rest lies in
    it; polygons, over a whole data set, do not keep to that. Where all lines do, each is reported.
    """

    def __init__(self):
        self._lines = []
        self._length = None
        self._decided = False

    def add(self, source, line, text, numbers):
        if self._decided:
            return
        self._length = self._length or len(numbers)
        if len(numbers) != self._length or not could_be_pose(numbers):
            self._decided = True
            self._lines = []
        else:
            self._lines.append((source, line, text))

    def report(self, problems):
        for source, line, text in self._lines:
            problems.add(source, f"line {line}", AMBIGUOUS, text, kept=True)


def could_be_pose(numbers, step=None):
    """Whether the first four numbers are a box in the image and the rest are points in it.

    step: numbers per point, 3 or 2; by default 3 where every third one is a flag.
    """
    x, y, width, height = numbers[:4]
    low, high = (x - width / 2, y - height / 2), (x + width / 2, y + height / 2)
    if min(width, height) <= 0 or min(low) < -ROUNDING or max(high) > 1 + ROUNDING:
        return False
    step = step or (3 if _flags_fit(numbers) else 2)
    points = zip(numbers[4::step], numbers[5::step], strict=False)
    return all(
        point == (0, 0)  # a point that nobody marked
        or all(low[i] - ROUNDING <= point[i] <= high[i] + ROUNDING for i in (0, 1))
        for point in points
    )

"""What is wrong with a data set: one line per problem, collected, or raised under `strict`."""

import collections
from dataclasses import dataclass

from boxloss.files import one_line, shortened


@dataclass(frozen=True)
class Problem:
    """One broken item. `str(problem)` is the line `path: item must rule. Received: received`.

    action: what happened to the item: "dropped", "clipped" to the image, or "kept" as it is read.
    """

    path: str
    item: str
    rule: str
    received: str
    action: str = "dropped"

    def __str__(self):
        return f"{one_line(self.path)}: {self.item} must {self.rule}. Received: {self.received}"


class Problems:
    """Collects problems and counts what they cost; with `strict` the first one is raised."""

    def __init__(self, strict=False):
        self.strict = strict
        self.found = []
        self.dropped = {"images": 0, "boxes": 0}
        self.clipped = 0

    def add(self, path, item, rule, received, images=0, boxes=0, clipped=0, kept=False):
        """Report one item; `images` and `boxes` are what the data set loses by it."""
        action = "clipped" if clipped else "kept" if kept else "dropped"
        problem = Problem(str(path), item, rule, shortened(received), action)
        if self.strict:
            raise ValueError(str(problem))
        self.found.append(problem)
        self.dropped["images"] += images
        self.dropped["boxes"] += boxes
        self.clipped += clipped


def lines_of(problems, limit=20):
    """Lines for people: the first `limit` problems, then how many more there are by rule."""
    lines = [str(problem) for problem in problems[:limit]]
    rules = collections.Counter(problem.rule for problem in problems[limit:])
    lines += [f"and {count} more that must {rule}" for rule, count in rules.most_common(limit)]
    if len(rules) > limit:
        rest = sum(count for _, count in rules.most_common()[limit:])
        lines.append(f"and {rest} more by {len(rules) - limit} other rules")
    return lines

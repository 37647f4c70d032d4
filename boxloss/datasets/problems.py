"""What is wrong with a data set: one line a problem, collected, or raised under `strict`."""

from dataclasses import dataclass

from boxloss.files import one_line, shortened


@dataclass(frozen=True)
class Problem:
    """One broken item. `str(problem)` is the line `path: item must rule. Received: received`.

    `action` tells what happened to the item: "dropped", or "clipped" to the image.
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

    def add(self, path, item, rule, received, images=0, boxes=0, clipped=0):
        """Report one item; `images` and `boxes` are what the data set loses by it."""
        action = "clipped" if clipped else "dropped"
        problem = Problem(str(path), item, rule, shortened(received), action)
        if self.strict:
            raise ValueError(str(problem))
        self.found.append(problem)
        self.dropped["images"] += images
        self.dropped["boxes"] += boxes
        self.clipped += clipped

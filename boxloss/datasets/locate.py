"""Which picture belongs to each annotated image, and whether it can be used."""

import os
from typing import NamedTuple

import numpy as np

from boxloss.datasets.annotated import AnnotatedImage
from boxloss.datasets.folder import (
    LITERAL,
    MISSING,
    OTHER_FOLDER,
    OWN_FOLDER,
    Match,
    NoMatchError,
    bare_stem,
)
from boxloss.datasets.header import BadImageError, Header, header_of
from boxloss.files import one_line, tracked


class Place(NamedTuple):
    """An image that can be used: its position in `Source.images`, and the picture it is."""

    position: int
    image: AnnotatedImage
    file_name: str
    path: str
    header: Header


def locate(source, folder, problems):
    """The Places of a Source's images in an ImageFolder; what is left out is reported."""
    counts = np.bincount(np.asarray(source.boxes.image, "int64"), minlength=len(source.images))

    def drop(position, path, item, rule, received):
        boxes = int(counts[position])
        problems.add(path, item, rule, received, images=1, boxes=boxes)

    matches = [
        _match(position, image, folder, drop, problems)
        for position, image in enumerate(source.images)
    ]
    rivals = _rivals(matches)
    places = []
    found = zip(source.images, matches, strict=True)
    for position, (image, match) in enumerate(tracked(found, "images opened", len(matches))):
        if match is None:
            continue
        if position in rivals:
            rival = source.images[rivals[position]]
            other = rival.item if rival.source == image.source else one_line(rival.source)
            rule = f"name a file that {other} does not name"
            drop(position, image.source, image.item, rule, f"file_name={match.name!r}")
            continue
        path = os.path.join(folder.root, match.name)
        header = _usable(position, image, path, drop)
        if header is not None:
            places.append(Place(position, image, match.name, path, header))
    return places


def _match(position, image, folder, drop, problems):
    """The Match of an image, by its written name or by the annotation file's own; or None."""
    own = folder.with_stem(image.stem) if image.stem else None
    try:
        named = _named(image, folder)
    except NoMatchError as error:
        if own is None:
            written = image.stem if image.file_name is None else image.file_name
            received = f"file_name={written!r}{error.received}"
            drop(position, image.source, image.item, error.rule, received)
        return own
    if own is None or bare_stem(named.name) == bare_stem(own.name):
        return named
    # Renaming tools change files and leave `filename` behind: then every name is one further.
    received = f"file_name={image.file_name!r}; {own.name!r} is used"
    rule = "name the image of its own stem"
    problems.add(image.source, image.item, rule, received, kept=True)
    return own


def _named(image, folder):
    """The Match of the written name. Raises NoMatchError.

    An annotation file that lies in a folder means the picture in the folder of that name; one from
    elsewhere is a guess, since files of other folders may be called the same.
    """
    if image.file_name is None:
        raise NoMatchError(MISSING)
    below = os.path.dirname(image.stem or "")
    if below and f"{below}/{image.file_name}" in folder:
        return Match(f"{below}/{image.file_name}", LITERAL)
    named = folder.find(image.file_name)
    if below and os.path.dirname(named.name) != below:
        return Match(named.name, max(named.guess, OTHER_FOLDER))
    return named


def _rivals(matches):
    """{position of an image that is dropped: position of another that means the same file}.

    The annotation that says the name outright has the file. Where the best ones only guess equally
    well, as `a/1.png` and `b/1.png` do when both folders are gone, none has it: the boxes of one of
    them would lie on the picture of the other.
    """
    claims = {}
    for position, match in enumerate(matches):
        if match is not None:
            claims.setdefault(match.name, []).append(position)
    rivals = {}
    for positions in claims.values():
        if len(positions) == 1:
            continue
        least = min(matches[position].guess for position in positions)
        best = [position for position in positions if matches[position].guess == least]
        unclear = len(best) > 1 and least > OWN_FOLDER
        for position in positions:
            if position != best[0]:
                rivals[position] = best[0]
            elif unclear:
                rivals[position] = best[1]
    return rivals


def _usable(position, image, path, drop):
    """The Header of the picture at `path`, None where it is broken or not the annotated one."""
    try:
        header = header_of(path)
    except BadImageError as error:
        return drop(position, path, "image", error.rule, error.received)
    except OSError as error:
        return drop(position, path, "image", "be readable", error.strerror)
    written = (image.width or header.width, image.height or header.height)
    if written == (header.width, header.height):
        return header
    received = f"{header.width} x {header.height}, annotation {written[0]} x {written[1]}"
    if header.orientation != 1:
        received += f" (upright by EXIF orientation {header.orientation})"
    return drop(position, path, "image", "have the size of its annotation", received)

"""Which label file belongs to each picture of a YOLO data set.

Both usual layouts, labels beside the images, and label folders that were named:

    images/train/1.jpg  labels/train/1.txt        train/images/1.jpg  train/labels/1.txt
"""

import os
import pathlib
from typing import NamedTuple

from boxloss import files
from boxloss.datasets.class_names import LISTS
from boxloss.datasets.folder import folded_stem, is_hidden
from boxloss.datasets.label_line import split_line
from boxloss.files import one_line

IMAGE_FOLDERS, LABEL_FOLDERS = ("images", "image", "jpegimages"), ("labels", "label")


class Labels(NamedTuple):
    """base: the folder of the label files. tree: its files. names: {picture: label file}."""

    base: pathlib.Path
    tree: files.Tree
    names: dict

    def path_of(self, picture):
        """The label file of a picture, None where it has none."""
        return self.base / self.names[picture] if picture in self.names else None

    def read(self, path):
        """The bytes of a label file. Raises ValueError or OSError."""
        name = path.relative_to(self.base).as_posix()
        if name in self.tree.refused:
            raise files.OutsideFolderError(name)
        return files.read_bytes(path)

    def report_orphans(self, problems):
        """Report label files in the label folders for which there is no image."""
        used = set(self.names.values())
        folders = {os.path.dirname(name) for name in used}
        for name in self.tree.names:
            if is_label(name) and name not in used and os.path.dirname(name) in folders:
                if _holds_labels(self.base / name):
                    rule = "have an image of the same name"
                    problems.add(self.base / name, "file", rule, "no such image", images=1)


def is_label(name):
    """Whether a file may hold labels, by its name."""
    base = name.rsplit("/", 1)[-1]
    return base.lower().endswith(".txt") and base.lower() not in LISTS and not is_hidden(name)


def _holds_labels(path):
    """Whether a file is empty or begins like one of labels: a README or a list of images is not."""
    try:
        lines = files.decoded(files.read_bytes(path)).split("\n")
    except (ValueError, OSError):
        return True
    first = next((line for line in lines if line.strip()), "0 0 0 0 0")
    try:
        return len(split_line(first, any_name=True)[1]) >= 4
    except ValueError:
        return False


def find_labels(folder, annotations, pictures):
    """The Labels of the layout that fits: the first with a label file for any picture."""
    linked = 0
    for base, key_of in _candidates(folder, annotations):
        if base != folder.root and base.is_symlink() and not folder.follow_links:
            linked += 1  # nobody named that folder, so it may not lead elsewhere
            continue
        tree = folder.tree if base == folder.root else files.walk(base, folder.follow_links)
        labels = Labels(base, tree, _labels_of(pictures, tree, key_of))
        if labels.names and (key_of is not os.path.basename or _is_plain(labels, pictures)):
            return labels
    links = f", {linked} folders of labels that are symbolic links" if linked else ""
    links += folder.refused_links()
    raise ValueError(
        f"{one_line(folder.root)}: folder must have a label file for one of its images, in "
        f"`labels` in place of `images`, or beside the image. Received: {len(pictures)} images "
        f"without{links}"
    )


def _candidates(folder, annotations):
    """(folder of labels, function from a picture's name to its label file's) of each layout."""
    root = folder.root
    if annotations is not None and os.path.isdir(annotations):
        base = pathlib.Path(os.path.realpath(annotations))
        yield base, _same
        yield base, os.path.basename
        for inner in _children(base, LABEL_FOLDERS):
            yield inner, _same
            yield inner, lambda name: f"{root.name}/{name}"
    if root.name.lower() in IMAGE_FOLDERS:
        for base in _children(root.parent, LABEL_FOLDERS):
            yield base, _same
    if root.parent.name.lower() in IMAGE_FOLDERS:
        for base in _children(root.parent.parent, LABEL_FOLDERS):
            yield base, lambda name: f"{root.name}/{name}"
    yield root, _swap
    yield root, _same


def _same(name):
    return name


def _children(place, names):
    """The folders in `place` of one of these names, in any case; "labels" before "Labels"."""
    try:
        found = [entry for entry in os.listdir(place) if entry.lower() in names]
    except OSError:
        return []
    found.sort(key=lambda entry: (names.index(entry.lower()), entry != entry.lower(), entry))
    return [place / entry for entry in found if (place / entry).is_dir()]


def _swap(name):
    """`images` as the last folder of that name replaced by `labels`."""
    parts = name.split("/")
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() in IMAGE_FOLDERS:
            return "/".join([*parts[:position], "labels", *parts[position + 1 :]])
    return name


def _labels_of(pictures, tree, key_of):
    """{picture: label file}: `a.txt`, or as some tools write it `a.jpg.txt`."""
    listed = [*tree.names, *tree.refused, *tree.irregular]
    label_of = {_key(os.path.splitext(name)[0]): name for name in listed if is_label(name)}
    found = {}
    for picture in pictures:
        key = key_of(picture)
        label = label_of.get(_key(os.path.splitext(key)[0])) or label_of.get(_key(key))
        if label is not None:
            found[picture] = label
    _match_other_spellings(found, pictures, label_of.values(), key_of)
    return found


def _match_other_spellings(found, pictures, labels, key_of):
    """Add `A.JPG` with `a.txt`, and accents in another Unicode form, where one of each is left."""
    used, left = set(found.values()), {}
    for label in labels:
        if label not in used:
            left.setdefault(folded_stem(_key(label)), ([], []))[0].append(label)
    for picture in pictures if left else ():
        entry = left.get(folded_stem(_key(key_of(picture))))
        if entry is not None and picture not in found:
            entry[1].append(picture)
    for names, fitting in left.values():
        if len(names) == len(fitting) == 1:
            found[fitting[0]] = names[0]


def _is_plain(labels, pictures):
    """Whether labels that were found by the bare names of pictures can be theirs.

    No two folders have a picture of one name, and every folder has a picture with labels: else it
    is another part of the data set, whose pictures would count as images without objects.
    """
    folders_of = {}
    for picture, label in labels.names.items():
        folders_of.setdefault(label, set()).add(os.path.dirname(picture))
    labelled = set().union(*folders_of.values())
    return all(len(folders) == 1 for folders in folders_of.values()) and labelled == {
        os.path.dirname(picture) for picture in pictures
    }


def _key(name):
    """Label folders are compared without case in their name: `Labels/a` is `labels/a`."""
    folder, _, base = name.rpartition("/")
    return f"{folder.lower()}/{base}"

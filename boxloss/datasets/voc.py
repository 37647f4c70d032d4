"""Pascal VOC: a folder of XML files, one an image."""

import os
import pathlib
import xml.parsers.expat
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from boxloss import files
from boxloss.datasets.annotated import AnnotatedBox, AnnotatedImage, Source
from boxloss.datasets.images import SUFFIXES
from boxloss.files import one_line, write_atomically

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read(root, problems, one_based=False):
    """The Source of the XML files directly in the folder `root`; category keys are class names.

    Coordinates are kept as published; `one_based` takes 1 from xmin and ymin, which makes the
    inclusive one-based corners of the original VOC the edges of zero-based pixels.
    """
    categories = {}
    return Source(_images(pathlib.Path(root), categories, problems, one_based), categories, False)


def is_xml(name):
    return name.lower().endswith(".xml")


def _images(root, categories, problems, one_based):
    count = 0
    for number, name in enumerate(sorted(filter(is_xml, os.listdir(root))), 1):
        path = root / name
        tree = _tree(root, name, problems)
        if tree is None:
            continue
        image = AnnotatedImage(str(path), "file", _file_names(tree, name), number, "xyxy")
        image.width, image.height = (_side(tree, f"size/{key}") for key in ("width", "height"))
        objects = tree.findall("object")
        for position, element in enumerate(objects, 1):
            box = _box(path, position, element, count + position, problems, one_based)
            if box is not None:
                image.boxes.append(box)
                categories.setdefault(box.category, box.category)
        count += len(objects)
        yield image


def _tree(root, name, problems):
    """The root element of a file, or None after a report."""
    path = root / name
    try:
        tree = parse(files.read_bytes(files.inside(root, name)))
    except files.OutsideFolderError:
        rule, received = "lie inside its folder", "a symbolic link out of it"
    except (ValueError, OSError) as error:
        rule, received = "be a readable XML file without a document type", one_line(error)
    else:
        if tree.tag == "annotation":
            return tree
        rule, received = "have the root element 'annotation'", repr(tree.tag)
    problems.add(path, "file", rule, received, images=1)
    return None


def parse(data):
    """The root element of the XML in `data`; raises ValueError.

    Document types are refused: they alone can declare entities, whose expansion turns a few bytes
    into gigabytes or reads other files. Annotations need none.
    """
    parser = xml.parsers.expat.ParserCreate()
    builder = ElementTree.TreeBuilder()

    def refuse(name, *_):
        raise ValueError(f"a document type {name!r}")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (xml.parsers.expat.ExpatError, LookupError) as error:  # LookupError: unknown encoding
        raise ValueError(str(error)) from None


def _file_names(tree, name):
    """What `filename` says; then, for files that were renamed, the XML file's own stem."""
    written = (tree.findtext("filename") or "").strip()
    stem = os.path.splitext(name)[0]
    suffixes = (*SUFFIXES, *map(str.upper, SUFFIXES))
    return ([written] if written else []) + [stem + suffix for suffix in suffixes]


def _side(tree, key):
    """A side in pixels; None where the file has none."""
    try:
        return int(float(tree.findtext(key)))
    except (TypeError, ValueError, OverflowError):
        return None


def _box(path, position, element, number, problems, one_based):
    item = f"object {position}"
    name = (element.findtext("name") or "").strip()
    if not name:
        problems.add(path, item, "have a name", f"name={name!r}", boxes=1)
        return None
    texts = [element.findtext(f"bndbox/{key}") for key in CORNERS]
    received = ", ".join(
        f"{key}={text.strip() if text else text}" for key, text in zip(CORNERS, texts, strict=True)
    )
    try:
        numbers = [float(text) for text in texts]
    except (TypeError, ValueError):
        rule = "have a bndbox of four numbers xmin, ymin, xmax, ymax"
        problems.add(path, item, rule, received, boxes=1)
        return None
    if one_based:
        numbers[0] -= 1
        numbers[1] -= 1
    difficult = (element.findtext("difficult") or "").strip() in ("1", "true", "True")
    return AnnotatedBox(item, name, tuple(numbers), received, number, difficult=difficult)


def write(dataset, root):
    """Write one XML file an image into the folder `root`, named like the image."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for record in dataset.records:
        objects = [
            f"  <object>\n    <name>{escape(dataset.class_names[label])}</name>\n"
            f"    <difficult>{int(difficult)}</difficult>\n    <bndbox>"
            + "".join(f"<{key}>{side:.9g}</{key}>" for key, side in zip(CORNERS, box, strict=True))
            + "</bndbox>\n  </object>\n"
            for box, label, difficult in zip(
                record.boxes.tolist(), record.labels, record.difficult, strict=True
            )
        ]
        text = (
            f"<annotation>\n  <filename>{escape(record.file_name)}</filename>\n"
            f"  <size><width>{record.width}</width><height>{record.height}</height>"
            f"<depth>3</depth></size>\n{''.join(objects)}</annotation>\n"
        )
        with write_atomically(root / f"{record.path.stem}.xml") as temporary:
            temporary.write_text(text, encoding="utf-8")

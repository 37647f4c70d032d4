"""Pascal VOC: a folder of XML files, one per image."""

import codecs
import pathlib
import re
import xml.parsers.expat
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from boxloss import files
from boxloss.datasets.annotated import AnnotatedBoxes, AnnotatedImage, Source
from boxloss.datasets.folder import is_hidden
from boxloss.datasets.values import flag, number, size, stem
from boxloss.files import one_line, write_atomically

CORNERS = ("xmin", "ymin", "xmax", "ymax")
READABLE = "be a readable XML file without a document type"
FOUR = "have a bndbox of four numbers xmin, ymin, xmax, ymax"
ENCODING = re.compile(rb"""^\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.:-]+)["']""")


def read(root, problems, one_based=False, follow_links=False, stems=None):
    """The Source of the XML files below the folder `root`; category keys are class names.

    stems: read only the files of these names, as the lists in `ImageSets/Main` say.

    Coordinates are kept as published; `one_based` takes 1 from xmin and ymin, which makes the
    inclusive one-based corners of the original VOC the edges of zero-based pixels.
    """
    root = pathlib.Path(root)
    images, boxes, categories = [], AnnotatedBoxes(), {}
    tree = files.walk(root, follow_links)
    _report_links(root, tree, problems)
    count = 0
    names = list(filter(is_annotation, tree.names))
    if stems is not None:
        chosen = set(stems)
        names = [name for name in names if chosen & {name[: -len(".xml")], stem(name)}]
    for position, name in enumerate(names, 1):
        path = root / name
        element = _tree(path, problems)
        if element is None:
            continue
        objects = element.findall("object")
        for place, child in enumerate(objects, 1):
            box = _box(path, place, child, problems, one_based)
            if box is not None:
                category, corners, written, difficult = box
                boxes.add(len(images), category, corners, count + place, written, difficult)
                categories.setdefault(category, category)
        count += len(objects)
        images.append(_image(path, name, position, element))
    return Source(images, boxes, categories, "xyxy", _describe, numbered=False)


def is_xml(name):
    return name.lower().endswith(".xml")


def is_annotation(name):
    return is_xml(name) and not is_hidden(name)


def _report_links(root, tree, problems):
    """Report what lies among the XML files and was not read: links out of the folder, pipes."""
    for name in tree.refused:
        is_file = is_annotation(name)
        item, received = ("file", "") if is_file else ("folder", " (--follow-links allows it)")
        if is_file or (root / name).is_dir():
            received = f"a symbolic link out of it{received}"
            problems.add(root / name, item, "lie inside its folder", received, images=int(is_file))
    for name in filter(is_annotation, tree.irregular):
        problems.add(root / name, "file", READABLE, "not a regular file", images=1)


def _image(path, name, number, tree):
    written = (tree.findtext("filename") or "").strip() or None
    sides = (size(tree.findtext(f"size/{key}")) for key in ("width", "height"))
    return AnnotatedImage(str(path), "file", number, written, name[: -len(".xml")], *sides)


def _tree(path, problems):
    """The root element of a file, or None after a report."""
    try:
        tree = parse(files.read_bytes(path))
    except (ValueError, OSError) as error:
        rule, received = READABLE, one_line(error)
    else:
        if tree.tag == "annotation":
            return tree
        rule, received = "have the root element 'annotation'", repr(tree.tag)
    problems.add(path, "file", rule, received, images=1)
    return None


def parse(data):
    """The root element of the XML in `data`, all tags in lower case; raises ValueError.

    Document types are refused: they alone can declare entities, whose expansion turns a few bytes
    into gigabytes or reads other files. Annotations need none. The text is decoded here, because
    the parser knows neither UTF-16 without a mark nor the encodings of China and Japan.
    """
    parser = xml.parsers.expat.ParserCreate("utf-8")
    builder = ElementTree.TreeBuilder()

    def refuse(name, *_):
        raise ValueError(f"a document type {name!r}")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag.lower(), attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag.lower())
    parser.CharacterDataHandler = builder.data
    try:
        # Blank lines before the declaration and zeros behind the end: no parser takes them.
        parser.Parse(_text(data).strip("\0\ufeff \t\r\n").encode("utf-8"), True)
        return builder.close()
    except (xml.parsers.expat.ExpatError, LookupError) as error:  # LookupError: unknown encoding
        raise ValueError(str(error)) from None


def _text(data):
    """The text of an XML file: as its bytes say, else as its declaration does."""
    found = ENCODING.match(data[:200])
    declared = codecs.lookup(found[1].decode("ascii")).name if found else None
    try:
        return files.decoded(data)
    except UnicodeDecodeError:
        if declared is None:
            raise
    return data.decode(declared)


def _describe(image, written):
    position, texts = written
    received = ", ".join(
        f"{key}={text.strip() if text else text}" for key, text in zip(CORNERS, texts, strict=True)
    )
    return f"object {position}", received


def _box(path, position, element, problems, one_based):
    """(category, corners, written, difficult) of an object, or None after a report."""
    written = position, [element.findtext(f"bndbox/{key}") for key in CORNERS]
    category = (element.findtext("name") or "").strip()
    if not category:
        rule, received = "have a name", f"name={category!r}"
        problems.add(path, f"object {position}", rule, received, boxes=1)
        return None
    corners = [number(text) for text in written[1]]
    if None in corners:
        item, received = _describe(None, written)
        problems.add(path, item, FOUR, received, boxes=1)
        return None
    if one_based:
        corners[0] -= 1
        corners[1] -= 1
    return category, corners, written, flag(element.findtext("difficult"))


def write(dataset, root):
    """Write one XML file per image into the folder `root`, named like the image."""
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

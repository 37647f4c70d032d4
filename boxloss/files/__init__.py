"""Files: written whole or not at all, found only inside a folder, named in one line."""

from boxloss.files.outputs import Output, output
from boxloss.files.progress import duration, tracked
from boxloss.files.reading import (
    OutsideFolderError,
    Tree,
    decoded,
    existing,
    existing_folder,
    inside,
    json_of,
    open_regular,
    read_bytes,
    read_json,
    read_object,
    walk,
)
from boxloss.files.tables import id_of, plain_text, read_csv, write_csv
from boxloss.files.text import counted, one_line, shortened
from boxloss.files.writing import write_atomically, write_json

__all__ = [
    "Output",
    "OutsideFolderError",
    "Tree",
    "counted",
    "decoded",
    "duration",
    "existing",
    "existing_folder",
    "id_of",
    "inside",
    "json_of",
    "one_line",
    "open_regular",
    "output",
    "plain_text",
    "read_bytes",
    "read_csv",
    "read_json",
    "read_object",
    "shortened",
    "tracked",
    "walk",
    "write_atomically",
    "write_csv",
    "write_json",
]

"""CSV files that a spreadsheet opens as they are meant, and that are read back as they were.

A spreadsheet runs a cell that begins with = + - or @ as a formula, and class names, file names and
ids come from strangers. So a text that begins like one gets an apostrophe in front, which reading
takes away again. A text that would be read as a whole number ("7" as an id) gets one too, because
an id must keep its type. Umlauts need a byte order mark in front of the file; it is written only
where a text is not ASCII, because many readers trip over it.
"""

import codecs
import csv
import numbers
import re
import shutil

from boxloss.files.text import one_line, shortened
from boxloss.files.writing import write_atomically

# An apostrophe before such a text is ours; one that was there already gets another.
NEEDS_QUOTE = re.compile(r"'*[=+\-@\t\r]")
QUOTED = re.compile(r"'+([=+\-@\t\r]|\d+$)")
WHOLE = re.compile(r"0|-?[1-9]\d*")
# An attack on the memory aside, a field is a name or a number.
FIELD_LIMIT = 2**20


def write_csv(path, header, rows, number="", formats=None, ids=()):
    """Write a CSV file (UTF-8, one header line), or leave the old one.

    rows: sequences of raw values: None is an empty field, a text is quoted as above, `number` is
    the format of whatever is neither text nor whole ("" is all digits). formats: {column: format}
    of other columns. ids: columns in which a text that looks like a whole number is quoted.
    """
    header = list(header)
    how = [((formats or {}).get(name, number), name in ids) for name in header]
    plain = True
    with write_atomically(path) as temporary:
        with open(temporary, "w", newline="", encoding="utf-8", errors="surrogatepass") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for row in rows:
                cells = [_cell(value, *one) for value, one in zip(row, how, strict=True)]
                plain = plain and all(cell.isascii() for cell in cells)
                writer.writerow(cells)
        if not plain:
            _add_mark(temporary)


def _cell(value, number, is_id):
    if value is None:
        return ""
    if isinstance(value, str):
        quoted = NEEDS_QUOTE.match(value) or (is_id and re.fullmatch(r"'*\d+", value))
        return f"'{value}" if quoted else value
    whole = isinstance(value, (bool, numbers.Integral))
    return str(value) if whole else format(value, number)


def _add_mark(path):
    with path.open("rb") as file, path.with_name(f"{path.name}.marked").open("wb") as marked:
        marked.write(codecs.BOM_UTF8)
        shutil.copyfileobj(file, marked)
    path.with_name(f"{path.name}.marked").replace(path)


def plain_text(cell):
    """The text that `write_csv` wrote as `cell`."""
    return cell[1:] if QUOTED.match(cell) else cell


def id_of(cell):
    """The id that `write_csv` wrote as `cell`: a whole number, a text, or None."""
    # Thousands of digits are no number that anybody counts with, and slow to convert.
    if WHOLE.fullmatch(cell) and len(cell) <= 40:
        return int(cell)
    return plain_text(cell) or None


def read_csv(path, columns, what):
    """(line number, {column: cell}) of each row; ValueError where it is not such a file.

    columns: those that must be there. what: the file must have the columns of it.
    """
    old = csv.field_size_limit(FIELD_LIMIT)
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogatepass") as file:
            yield from _rows(path, csv.DictReader(file), columns, what)
    except (csv.Error, UnicodeError) as error:
        raise ValueError(f"{one_line(path)}: file must be a CSV file. Received: {error}") from None
    except IsADirectoryError:
        raise ValueError(f"{one_line(path)}: must be a CSV file. Received: a folder") from None
    finally:
        csv.field_size_limit(old)


def _rows(path, reader, columns, what):
    missing = [name for name in columns if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(
            f"{one_line(path)}: file must have the columns of {what}. "
            f"Received: a file without {shortened(', '.join(missing))}"
        )
    for line, record in enumerate(reader, 2):
        if None in record or None in record.values():
            raise ValueError(
                f"{one_line(path)}: line {line} must have as many fields as the header. "
                f"Received: {shortened(record)}"
            )
        yield line, record

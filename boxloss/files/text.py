"""Texts of strangers in one line of a message."""

RECEIVED_LENGTH = 160


def one_line(text):
    """`text` as it is, or its escaped form where a control character would break the line."""
    text = str(text)
    return text if text.isprintable() else repr(text)


def counted(count, things):
    """`count` with its word, which is given for several: 1 box, 2 boxes."""
    one = things[: -len("es")] if things in ("boxes", "classes") else things[: -len("s")]
    return f"{count} {one if count == 1 else things}"


def shortened(text):
    text = one_line(text)
    return text if len(text) <= RECEIVED_LENGTH else text[:RECEIVED_LENGTH] + "…"

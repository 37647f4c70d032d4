"""What commands read: looked at before a backend is imported, so that they answer at once."""


def format_flag(group):
    """`--format` of annotations."""
    from boxloss.datasets import FORMATS

    group.add_argument("--format", choices=FORMATS, help="of the annotations (default: guessed)")


def reading_flags(group):
    """How images and annotations are read, in every command that reads them for itself."""
    format_flag(group)
    group.add_argument(
        "--voc-one-based",
        action="store_true",
        help="VOC coordinates begin at 1: take 1 from xmin and ymin",
    )
    group.add_argument(
        "--follow-links",
        action="store_true",
        help="open images and labels that symbolic links out of their folder lead to",
    )


def run_file(path):
    """`path`, a file of a run folder; ValueError where it is not there."""
    if not path.is_file():
        raise ValueError(f"`run` must be a run folder with {path.name}. Received: {str(path)!r}")
    return path

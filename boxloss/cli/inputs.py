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


def tile_flags(group):
    """How large images are cut, in every command that runs a detector."""
    group.add_argument(
        "--tile",
        type=int,
        metavar="SIZE",
        help="cut images into squares of this many pixels, with one NMS over all of them",
    )
    group.add_argument(
        "--overlap",
        type=float,
        default=0.2,
        help="share of its side that a tile has in common with the next (default: %(default)s)",
    )


def tiling_of(args):
    """The arguments of `Detector.predict` for these flags; ValueError where they are wrong."""
    if args.tile is not None and args.tile < 1:
        raise ValueError(f"`--tile` must be at least 1 pixel. Received: {args.tile}")
    if not 0 <= args.overlap < 1:
        raise ValueError(f"`--overlap` must be at least 0 and below 1. Received: {args.overlap}")
    return {} if args.tile is None else {"tile": args.tile, "overlap": args.overlap}


def run_file(path):
    """`path`, a file of a run folder; ValueError where it is not there."""
    if not path.is_file():
        raise ValueError(f"`run` must be a run folder with {path.name}. Received: {str(path)!r}")
    return path

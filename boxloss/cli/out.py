"""The folder that a command writes to: its flags, and what must not be it."""

import pathlib

from boxloss.files import output

REPLACE = "replace files of --out that boxloss did not write, or that were changed since"


def out_flags(parser, help, required=True):
    """Add --out and --overwrite."""
    parser.add_argument("--out", required=required, type=pathlib.Path, help=help)
    parser.add_argument("--overwrite", action="store_true", help=REPLACE)


def open_out(args, names, out=None):
    """`files.output` of --out for the files `names`; ValueError where it is a run folder.

    out: the folder, if it is not --out. A run folder belongs to `boxloss train`: metrics or
    detections of another command would take the place of the run's own.
    """
    out = args.out if out is None else out
    if (out / "model.keras").exists() or (out / "checkpoint.npz").exists():
        raise ValueError(
            "`--out` must not be a run folder, whose files would be lost; a folder in it may be. "
            f"Received: out={str(out)!r}"
        )
    return output(out, names, args.overwrite)


def inside_run(run, name):
    """The folder `name` of a run; ValueError where it is a link, which may lead anywhere."""
    if (run / name).is_symlink():
        raise ValueError(
            "`run` must hold its own folders; --out names another place. "
            f"Received: {str(run / name)!r}, a link"
        )
    return run / name

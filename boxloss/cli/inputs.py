"""What commands read: looked at before a backend is imported, so that they answer at once."""


def run_file(path):
    """`path`, a file of a run folder; ValueError where it is not there."""
    if not path.is_file():
        raise ValueError(f"`run` must be a run folder with {path.name}. Received: {str(path)!r}")
    return path

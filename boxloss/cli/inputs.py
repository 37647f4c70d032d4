"""What commands read: looked at before a backend is imported, so that they answer at once."""

import json


def run_file(path):
    """`path`, a file of a run folder; ValueError where it is not there."""
    if not path.is_file():
        raise ValueError(f"`run` must be a run folder with {path.name}. Received: {str(path)!r}")
    return path


def run_config(folder):
    """config.json of a run folder; empty where there is none."""
    return read_json_dict(folder / "config.json")


def read_json_dict(path):
    """The JSON object in a file; empty where there is none, or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

"""The image folder: which pictures are in it, and which of them a written file name means.

The folder is listed once. A name is then looked up among the files of that list, so that a hostile
name leads nowhere, and 100,000 names cost no system call each.
"""

import os
import pathlib
import unicodedata
from typing import NamedTuple

from boxloss import files
from boxloss.datasets.images import SUFFIXES
from boxloss.datasets.values import paths_of

OUTSIDE = "name a file inside the image folder"
MISSING = "name an existing image file"
SEVERAL = "name one image file"


class Match(NamedTuple):
    """A file of the image folder for a written name.

    guess: 0 where the name says so, more the more was read into it. Of two annotations that mean
    the same file, the one that guesses less has it.
    """

    name: str
    guess: int


LITERAL, OWN_FOLDER, OTHER_FOLDER, OTHER_SPELLING, OTHER_SUFFIX, DEEPER = range(6)


class NoMatchError(ValueError):
    """No file of the folder is meant: `rule` is what the name must do, `received` adds a reason."""

    def __init__(self, rule, received=""):
        super().__init__(rule)
        self.rule = rule
        self.received = received


class ImageFolder:
    """The files below `root`.

    follow_links: whether symbolic links may lead out of `root`; `tree` has what they lead to.
    tree: the files, where they are known already.
    """

    def __init__(self, root, follow_links=False, tree=None):
        self.root = pathlib.Path(root)
        self.follow_links = follow_links
        self.tree = files.walk(root, follow_links) if tree is None else tree
        self._names, self._refused = set(self.tree.names), set(self.tree.refused)
        self._own_name = os.path.basename(os.path.realpath(root))
        self._indices = {}

    def pictures(self):
        """Names with the suffix of a picture, sorted, but for what tools hide.

        macOS puts `._a.jpg` and `__MACOSX/` into archives, Jupyter copies into
        `.ipynb_checkpoints/`: no pictures, or the same ones again.
        """
        return [
            name
            for name in self.tree.names
            if name.lower().endswith(SUFFIXES) and not is_hidden(name)
        ]

    def refused_links(self):
        """How many links were refused, as the end of a message; empty for none."""
        count = len(self.tree.refused)
        return (
            f", {count} symbolic links that lead out of it (--follow-links allows them)"
            if count
            else ""
        )

    def report_links(self, problems):
        """Report the pictures and folders that are symbolic links out of the folder."""
        for name in self.tree.refused:
            path = self.root / name
            if name.lower().endswith(SUFFIXES):
                received = f"file_name={name!r}, a symbolic link out of it"
                problems.add(path, f"image {name!r}", OUTSIDE, received, images=1)
            elif path.is_dir():
                received = "a symbolic link out of it (--follow-links allows it)"
                problems.add(path, "folder", "lie inside the image folder", received)

    def __contains__(self, name):
        return name in self._names

    def find(self, text):
        """The Match of a written name. Raises NoMatchError where none or several files fit."""
        if text in self._names:
            return Match(text, LITERAL)
        paths, literal = list(paths_of(text)), f"{text}/".replace("\\", "/")
        self._refuse_links(paths)
        for path, taken in paths:
            if path in self._names:
                return Match(path, self._guess(taken))
        for index, guess in ((self._folded, OTHER_SPELLING), (self._stems, OTHER_SUFFIX)):
            for path, taken in paths:
                found = self._only(index(path))
                if found is not None:
                    return Match(found, max(guess, self._guess(taken)))
        bare = [path for path, taken in paths if "/" not in path and self._is_own(taken)]
        for path in bare:
            found = self._only(self._index(os.path.basename).get(path, []))
            if found is not None:
                return Match(found, DEEPER)
        outside = text.startswith(("/", "~")) or text[1:2] == ":" or "\0" in text
        raise NoMatchError(OUTSIDE if outside or not paths or "../" in literal else MISSING)

    def with_stem(self, stem):
        """The Match of the one picture whose name is `stem` and a suffix; None without one.

        It lies in the folder that `stem` says, or is the only one of that bare name anywhere.
        """
        for index, key, guess in (
            (without_suffix, stem, LITERAL),
            (bare_stem, os.path.basename(stem), DEEPER),
            (folded_stem, folded(stem), DEEPER),
        ):
            found = self._index(index).get(key, [])
            if len(found) == 1:
                return Match(found[0], guess)
        return None

    def _guess(self, taken):
        if not taken:
            return LITERAL
        return OWN_FOLDER if self._is_own(taken) else OTHER_FOLDER

    def _is_own(self, taken):
        """Whether the folders before a path are the image folder's own, or none."""
        return not taken or taken.rsplit("/", 1)[-1] == self._own_name

    def _only(self, found):
        if len(found) > 1:
            raise NoMatchError(SEVERAL, f", which may be {found[0]!r} or {found[1]!r}")
        return found[0] if found else None

    def _refuse_links(self, paths):
        """Raise where the path, as it is written, is a link or lies behind one."""
        for path, taken in paths if self._refused else ():
            parts = path.split("/")
            heads = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
            literal = path not in self._names and (not taken or self._is_own(taken))
            if literal and heads & self._refused:
                raise NoMatchError(OUTSIDE, ", a symbolic link out of it")

    def _index(self, key_of):
        """{key: names} by a function of the name; made when it is asked for first."""
        if key_of not in self._indices:
            index = self._indices[key_of] = {}
            for name in self.pictures():
                index.setdefault(key_of(name), []).append(name)
        return self._indices[key_of]

    def _folded(self, path):
        return self._index(folded).get(folded(path), [])

    def _stems(self, path):
        stem = without_suffix(path) if path.lower().endswith(SUFFIXES) else path
        return self._index(without_suffix).get(stem, [])


def folded(name):
    """Equal for names that macOS or Windows takes for the same: `É.JPG`, `E` + accent + `.jpg`."""
    return unicodedata.normalize("NFC", name).casefold()


def without_suffix(name):
    return os.path.splitext(name)[0]


def folded_stem(name):
    return folded(without_suffix(name))


def bare_stem(name):
    return os.path.basename(os.path.splitext(name)[0])


def is_hidden(name):
    """Whether a file, or a folder on the way to it, is hidden."""
    return name.startswith(".") or "/." in name or name.startswith("__MACOSX/")

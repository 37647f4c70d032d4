"""How a loss gets into somebody else's detector and out again: check, install, restore.

An adapter names its `Library`: the package, the versions whose seams were tried, and the seams. A
seam is a function or method of the library that gets a replacement. `Use` installs replacements and
restores the very objects that were there.
"""

import importlib
import importlib.metadata
import inspect
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple


class Seam(NamedTuple):
    """`name` ("function" or "Class.method") of `module`, and the names of its first arguments."""

    module: str
    name: str
    arguments: tuple[str, ...]


class Library(NamedTuple):
    """A package, the beginnings of the versions that work, and the version that tests run with."""

    package: str
    versions: tuple[str, ...]
    tested: str

    def refuse(self, received: str) -> ImportError:
        known = ", ".join(f"{version}.*" for version in self.versions)
        return ImportError(
            f"`{self.package}` must be {known} (tested: {self.tested}), whose box losses "
            f"boxloss.adapters knows. Received: {received}"
        )

    def check(self) -> None:
        """Raise ImportError unless the package is here in a version that works."""
        try:
            version = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise self.refuse("no such package") from None
        if not any(version.startswith(f"{known}.") for known in self.versions):
            raise self.refuse(f"{self.package} {version}")

    def find(self, seam: Seam) -> tuple[Any, str]:
        """(owner, attribute) of a seam; ImportError where it is not as known."""
        *outer, attribute = seam.name.split(".")
        try:
            owner = importlib.import_module(seam.module)
            for name in outer:
                owner = getattr(owner, name)
            given = tuple(inspect.signature(getattr(owner, attribute)).parameters.values())
        except (ImportError, AttributeError) as error:
            raise self.refuse(f"{seam.module}.{seam.name} cannot be found ({error})") from None
        # What comes after the known arguments must have a default: nobody here would give it.
        further = given[len(seam.arguments) :]
        optional = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        fits = tuple(p.name for p in given[: len(seam.arguments)]) == seam.arguments
        if not fits or any(p.default is p.empty and p.kind not in optional for p in further):
            names = ", ".join(p.name for p in given)
            raise self.refuse(f"{seam.module}.{seam.name}({names})")
        return owner, attribute


Replacements = dict[Seam, Callable[[Callable[..., Any]], Callable[..., Any]]]

_LOCK = threading.Lock()
_active: "Use | None" = None


class Use:
    """A loss in its place in a library, until `undo()` or the end of a `with` block.

        with adapters.ultralytics.use("wiou"):
            model.train(...)

        used = adapters.ultralytics.use("wiou")
        model.train(...)
        used.undo()

    One at a time: a second one, of any library, is refused until the first is undone. It holds for
    this process: a library that trains in processes that it starts by itself does not see it.

    Attributes: measure: the `PerBoxErrors` in place; its `calls` counts how often it was asked.
    """

    def __init__(self, library: Library, replacements: Replacements, measure: Any) -> None:
        global _active
        self.library, self.measure = library, measure
        with _LOCK:
            if _active is not None:
                raise RuntimeError(
                    "`use` must be undone before it is called again. Received: a second use, while "
                    f"{_active.measure.name!r} is in {_active.library.package}"
                )
            library.check()
            # All seams are looked at before the first is touched.
            places = {seam: library.find(seam) for seam in replacements}
            _active = self
            self._installed = []
            for seam, (owner, attribute) in places.items():
                # The object itself, not what attribute access makes of it (a bound method, say).
                original = vars(owner)[attribute]
                replacement = replacements[seam](original)
                setattr(owner, attribute, replacement)
                self._installed.append((owner, attribute, original, replacement))

    def undo(self) -> None:
        """Restore the library; a second call does nothing."""
        global _active
        with _LOCK:
            if _active is not self:
                return
            _active = None
            for owner, attribute, original, replacement in reversed(self._installed):
                if vars(owner)[attribute] is not replacement:
                    name = getattr(owner, "__qualname__", owner.__name__)
                    warnings.warn(
                        f"{name}.{attribute} was replaced by somebody else while boxloss' loss was "
                        "in place; that replacement is gone as well",
                        stacklevel=3,
                    )
                setattr(owner, attribute, original)

    def __enter__(self) -> "Use":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.undo()
        if kind is None and not self.measure.calls:
            warnings.warn(
                f"{self.library.package} never asked for the box loss {self.measure.name!r}: its "
                "training ran in another process, or this detector has another seam",
                stacklevel=2,
            )

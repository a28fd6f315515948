"""What can go wrong with pixels and files on their way through a stage.

ProcessingError
├── FileProblem             a file from outside is not what it should be: never retried
│   ├── NotFits             no FITS file at all, or a header without end
│   ├── BadHeader           a keyword is missing or has an impossible value
│   ├── Truncated           the file ends before its pixels do
│   ├── DamagedPixels       compressed pixels cannot be decoded
│   ├── ShapeMismatch       two images that belong together differ in size
│   ├── BadRegions          a file of regions has a line that means nothing, or cannot be laid on the image
│   └── BadCatalogue        a table of stars cannot be read, or lacks a column
├── NotStorable             pixels that the wanted form of storage cannot hold
├── BadRecipe               a recipe with an unknown key or an impossible value
├── BadSetting              a tool's configuration names an unknown key or a bad value
└── WorkerLost              a worker process ended without an answer: retry
"""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from terapix.errors import TerapixError


class ProcessingError(TerapixError):
    """Anything a stage may raise on purpose."""

    retryable: ClassVar[bool] = False


class FileProblem(ProcessingError):
    """A file is not what it should be; says where, what was found and what to do."""

    def __init__(self, path: Path | str, found: str, *, hdu: int | None = None, remedy: str) -> None:
        where = f"{path}[{hdu}]" if hdu is not None else str(path)
        super().__init__(f"{where}: {found}; {remedy}")
        self.path = Path(path)
        self.hdu = hdu
        self.found = found
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), hdu=self.hdu, remedy=self.remedy), (self.path, self.found)


class NotFits(FileProblem):
    """No FITS file, or a header that never ends."""


class BadHeader(FileProblem):
    """A keyword is missing or has an impossible value."""


class Truncated(FileProblem):
    """The file ends before the pixels it promises."""


class DamagedPixels(FileProblem):
    """Compressed pixels cannot be decoded."""


class ShapeMismatch(FileProblem):
    """Two images that belong together differ in size or in number."""


class BadRegions(FileProblem):
    """A file of regions has a line that means nothing, or that cannot be laid on the image."""


class BadCatalogue(FileProblem):
    """A table of stars cannot be read, or lacks a column."""


class NotStorable(ProcessingError):
    """Pixels that the wanted form of storage cannot hold."""


class BadRecipe(ProcessingError):
    """A recipe with an unknown key or an impossible value."""


class BadSetting(ProcessingError):
    """A tool's configuration names an unknown key or a bad value."""


class WorkerLost(ProcessingError):
    """A worker process ended without an answer, as when memory runs out or it is killed."""

    retryable: ClassVar[bool] = True

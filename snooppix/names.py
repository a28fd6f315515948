"""What the files of a camera are called at its archive, and so what we would take each for."""

import functools
import re
from dataclasses import dataclass
from typing import Self

from dbclient.schema import FrameKind
from snooppix.publisher.names import read_name
from terapix.identity import FrameId, UnsafeName
from terapix.instruments import Instrument


@functools.lru_cache(maxsize=256)
def matching(pattern: str) -> re.Pattern[str]:
    """Make of a pattern, in which * and ? stand for any letters and for any one, what a whole text is held against."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Names:
    """How the names of a camera's frames are told from others."""

    suffix: str = "p"
    """Letter behind the exposure number of the frames that are wanted."""
    pattern: str = ""
    """Their names with * and ?, where they are no number and letter; empty: they are."""
    published: bool = False
    """What is wanted are the products that another TERAPIX publishes, and no frames."""

    @classmethod
    def of(cls, instrument: Instrument, *, products: bool = False) -> Self:
        """Names as the description of an instrument has them, or those of the products made of its frames."""
        if products:
            return cls(published=True)
        return cls(instrument.acceptance.suffix, instrument.acceptance.names)

    def kind(self, name: str) -> FrameKind | None:
        """Tell what SNOOPPIX would take a file for: processed frame, flat, mask, or nothing it wants."""
        if self.published:
            return FrameKind.PRODUCT if read_name(name) else None
        if name[:-1].isdecimal() and name.isascii() and name[-1:] == self.suffix and self.plain and len(name) <= 10:
            return FrameKind.OBJECT  # nearly all are, and a million of them are asked about at once
        try:
            frame = FrameId(name)
        except UnsafeName:
            return None
        if matching(self.pattern).fullmatch(name) if self.pattern else frame.kind == self.suffix:
            return FrameKind.OBJECT
        words = name.split(".")
        if "mask" in words:
            return FrameKind.MASK
        return FrameKind.FLAT if "flat" in words else None

    @property
    def plain(self) -> bool:
        """Whether frames are called by number and letter."""
        return not self.pattern and not self.published

    @property
    def products(self) -> bool:
        """Whether a product of the archive is called as its file is: so it is with CFHT's, elsewhere it need not be."""
        return not self.pattern

    @property
    def sentence(self) -> str:
        """What frames are called, in words."""
        if self.published:
            return "called as published products are"
        return f"called {self.pattern}" if self.pattern else f"called by a number and the letter {self.suffix}"

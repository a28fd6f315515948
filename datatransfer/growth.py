"""Growth: the room that a frame takes on a node with all that will be made of it. Pure.

The rule of 2003 was four times the size of a RUNID. Ours adds up what the headers
tell and what the stages really wrote lately, by instrument; the rule is shown beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from dbclient.growth import GrowthRecord

PIXEL: Final = 4
"""Bytes of a pixel of a weight map (float32)."""
RAW_PIXEL: Final = 2
"""Bytes of a pixel as the camera wrote it (16 bit)."""
FLAG_SHARE: Final = 0.05
"""Share of its unpacked 8-bit size that a tile-compressed flag map takes until products were measured; mostly zeros."""
REGIONS_SHARE: Final = 0.005
"""Regions and MOC over the unpacked frame until products were measured: 0.001 on painted frames, with all defects."""
SOURCES_SHARE: Final = 0.02
"""Catalogue and PSF over the unpacked frame until they were measured: 0.01 on painted frames, twice that to be sure."""
UNPACKED_SHARE: Final = 3.0
"""Unpacked size of a frame over its file, where the header did not tell: Rice gains about two on MegaCam pixels."""
RULE_2003: Final = 4
"""Room that TERAPIX kept in 2003 for a RUNID, over its size."""


@dataclass(frozen=True, slots=True)
class Need:
    """Room that one frame will take on a node, in bytes, before and after processing."""

    frame: int
    """The file as the archive serves it (tile-compressed)."""
    products: int
    """Maps, catalogue and PSF as we write them, from the growth measured so far."""
    scratch: int
    """Unpacked pixels of what is worked on at once."""

    @property
    def total(self) -> int:
        return self.frame + self.products + self.scratch


@dataclass(frozen=True, slots=True)
class Growth:
    """What stages wrote of frames, as measured lately."""

    measured: tuple[GrowthRecord, ...] = ()
    """A record for each instrument, stage and kind of product."""
    _shares: dict[str, dict[str, float]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, measured: Iterable[GrowthRecord]) -> Self:
        """Sum the stages up: by instrument and kind, bytes of products over the unpacked bytes of their frames."""
        records = tuple(measured)
        shares: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for each in records:
            if each.unpacked_bytes > 0:
                shares[each.instrument][each.kind] += each.product_bytes / each.unpacked_bytes
        return cls(records, {instrument: dict(kinds) for instrument, kinds in shares.items()})

    def shares(self, instrument: str | None) -> Mapping[str, float]:
        """Give bytes of a product over the unpacked bytes of its frame, by kind; empty until the first was written.

        Of an instrument of which nothing was made yet, what was made of frames whose instrument nobody noted counts.
        """
        return self._shares.get(instrument or "") or self._shares.get("", {})

    def expansion(self) -> float | None:
        """Give bytes of frames with all their products over the bytes of the frames, averaged over the instruments.

        None until the first product was written.
        """
        ratios: dict[str, float] = defaultdict(float)
        weights: dict[str, float] = defaultdict(float)
        for each in self.measured:
            if each.file_bytes > 0:
                ratios[each.instrument] += each.product_bytes / each.file_bytes
                weights[each.instrument] = max(weights[each.instrument], each.file_bytes)
        total = sum(weights.values())
        return 1.0 + sum(ratios[name] * weight for name, weight in weights.items()) / total if total else None


def need_of(
    needs: Mapping[str, float] | None, size: int | None, *, growth: Mapping[str, float], compression: float
) -> Need:
    """Estimate the room that a frame needs.

    Parameters
    ----------
    needs : bytes by part as its header told (frame, unpacked, weight, flag, sources, scratch); parts may be absent, and
        no maps are to be made where they are told to take nothing
    size : bytes of the file
    growth : bytes of a product over the unpacked bytes of its frame, by kind, as measured so far; measured beats told
    compression : share of its unpacked size that a tile-compressed weight map takes until then
    """
    told = needs or {}
    frame = int(size or told.get("frame", 0))
    if told.get("weight") == 0 and told.get("flag") == 0:
        return Need(frame, 0, int(told.get("scratch", 0)))
    unpacked = told.get("unpacked") or frame * UNPACKED_SHARE
    guesses = {
        "weight": told.get("weight") or unpacked * PIXEL / RAW_PIXEL * compression,
        "flag": told.get("flag") or unpacked / RAW_PIXEL * FLAG_SHARE,
    }
    if not growth:
        guesses["regions"] = unpacked * REGIONS_SHARE
    if "catalogue" not in growth:  # measured stage by stage: a night's first frames have maps before a catalogue
        guesses["sources"] = told.get("sources") or unpacked * SOURCES_SHARE
    products = sum(unpacked * growth[kind] if kind in growth else guess for kind, guess in guesses.items())
    products += sum(unpacked * share for kind, share in growth.items() if kind not in guesses)
    return Need(frame, int(products), int(told.get("scratch") or unpacked))


@dataclass(frozen=True, slots=True)
class Expected:
    """Room that a run takes with all that is made of it, in bytes."""

    needed: int | None
    """By the growth measured so far; none until the first product was written."""
    rule_2003: int
    """By the rule of 2003."""


def expected(size: int, growth: Growth) -> Expected:
    """Say what frames of so many bytes take in the end, scratch aside: for lists; a dry run adds each frame up."""
    expansion = growth.expansion()
    return Expected(None if expansion is None else int(size * expansion), by_the_rule(size))


def by_the_rule(size: int) -> int:
    """Give the bytes that the rule of 2003 keeps for frames of so many bytes."""
    return RULE_2003 * size

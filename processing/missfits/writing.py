"""Writing files whole or not at all, with the pixels streamed past and never looked at."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from processing.cards import padding
from processing.missfits.arrange import Product
from processing.missfits.checksums import Adder, with_sums
from processing.missfits.hdus import Hdu, Stretch, keyword
from processing.placing import place

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_AT_ONCE = 4
"""Files that are on their way to disk at once."""


class Save(StrEnum):
    """What becomes of files that are there already."""

    NONE = "NONE"  #: nothing is written
    BACKUP = "BACKUP"  #: what would be overwritten is kept as NAME.back
    NEW = "NEW"  #: the new files have a suffix
    REPLACE = "REPLACE"  #: what was read goes away once all that is new is on disk


Process = Callable[[Iterable[Hdu]], Iterator[Hdu]]
"""Changes of pixels; HDUs come and go one by one."""


@dataclass(frozen=True, slots=True)
class Writer:
    """How products become files."""

    save: Save
    process: Process
    sums: bool
    """CHECKSUM and DATASUM are written to every HDU."""

    def write(self, products: Sequence[Product], read: Sequence[Path]) -> list[Path]:
        """Write all products under temporary names, and only then put all of them in place.

        With REPLACE they are on disk before what was read goes away; otherwise that is still there, and the kernel
        writes when it pleases.

        Parameters
        ----------
        read : files that the products were made of; they go away with REPLACE

        Returns
        -------
        written : their names
        """
        if self.save is Save.NONE:
            for product in products:
                _only_read(self.process(product.hdus))
            return []
        partial = [(product.path.with_name(f"{product.path.name}.part"), product.path) for product in products]
        try:
            self._write_all([temporary for temporary, _ in partial], products)
            for temporary, path in partial:
                if self.save is Save.BACKUP and path.exists():
                    _keep(path)
                if self._flushed:
                    place(temporary, path)
                else:
                    temporary.replace(path)
        finally:
            for temporary, _ in partial:
                temporary.unlink(missing_ok=True)
        written = [product.path for product in products]
        if self.save is Save.REPLACE:
            for path in {*read} - {*written}:
                path.unlink()
        return written

    @property
    def _flushed(self) -> bool:
        return self.save is Save.REPLACE

    def _write_all(self, paths: Sequence[Path], products: Sequence[Product]) -> None:
        if not self._flushed:
            for path, product in zip(paths, products, strict=True):
                with _opened(path) as stream:
                    for hdu in self.process(product.hdus):
                        self._put(stream, hdu)
            return
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  not needed where nothing is flushed

        with ThreadPoolExecutor(_AT_ONCE) as disk:
            going: list[Future[None]] = []
            for path, product in zip(paths, products, strict=True):
                going.append(self._flush(path, product, disk))
                if len(going) > _AT_ONCE:
                    going.pop(0).result()
            for each in going:
                each.result()

    def _flush(self, path: Path, product: Product, disk: "ThreadPoolExecutor") -> "Future[None]":
        """Write a file, which goes to disk while its next HDU, and the next files, are written.

        What is given back ends when it is on disk.
        """
        stream = _opened(path)
        begun: Future[None] | None = None
        try:
            for hdu in self.process(product.hdus):
                self._put(stream, hdu)
                if begun is None or begun.done():
                    _known(begun)
                    begun = disk.submit(os.fdatasync, stream.fileno())
        except BaseException:
            disk.submit(stream.close)
            raise
        return disk.submit(_to_disk, stream, begun)

    def _put(self, stream: BinaryIO, hdu: Hdu) -> None:
        if not self.sums and (hdu.raw or not _is_proved(hdu)):
            _all(stream, hdu.header())
            _copy(stream, hdu)
            return
        if not self.sums and _has_sum(hdu):
            _all(stream, hdu.with_cards(with_sums(hdu.cards, None)).header())
            _copy(stream, hdu)
            return
        begin = stream.tell()
        _all(stream, hdu.with_cards(with_sums(hdu.cards, 0)).header())
        total = _summed(stream, hdu)
        end = stream.tell()
        stream.seek(begin)
        _all(stream, hdu.with_cards(with_sums(hdu.cards, total)).header())
        stream.seek(end)


def _summed(stream: BinaryIO, hdu: Hdu) -> int:
    """Write data and return their sum."""
    _reserve(stream, hdu.size + padding(hdu.size))
    adder = Adder()
    for piece in chain(hdu.pieces(), (_filling(hdu),)):
        _all(stream, piece)
        adder.add(piece)
    return adder.finish()


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(exist_ok=True)
    return path.open("wb+", buffering=0)


def _to_disk(stream: BinaryIO, begun: "Future[None] | None") -> None:
    with stream:
        _known(begun)
        os.fsync(stream.fileno())


def _known(begun: "Future[None] | None") -> None:
    """Tell what went wrong on the way to disk: the kernel says so once, to whoever asks first."""
    if begun is not None:
        begun.result()


def _only_read(hdus: Iterable[Hdu]) -> None:
    """Take all pixels and drop them: what goes wrong with them is told, and nothing is written."""
    for hdu in hdus:
        for _ in hdu.chunks():
            pass


def _is_proved(hdu: Hdu) -> bool:
    """Whether the header has a CHECKSUM, which a change of its cards would make wrong."""
    return any(keyword(card) == "CHECKSUM" for card in hdu.cards)


def _has_sum(hdu: Hdu) -> bool:
    """Whether the DATASUM of the header holds for the data: they are those of one HDU, all of them."""
    untouched = len(hdu.data) <= 1 and all(isinstance(data, Stretch) for data in hdu.data) and not hdu.resized
    return untouched and hdu.values.text("DATASUM").isdigit()


def _filling(hdu: Hdu) -> bytes:
    """What fills the last record: blanks behind an ASCII table, else zeros."""
    return (b" " if hdu.values.text("XTENSION") == "TABLE" else b"\0") * padding(hdu.size)


def _copy(stream: BinaryIO, hdu: Hdu) -> None:
    _reserve(stream, hdu.size + padding(hdu.size))
    for piece in chain(hdu.pieces(), (_filling(hdu),)):
        _all(stream, piece)


def _reserve(stream: BinaryIO, size: int) -> None:
    """Take room on the disk for what is written next: a full disk is found out now, and the kernel writes faster."""
    if size:
        os.posix_fallocate(stream.fileno(), stream.tell(), size)


def _all(stream: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of it: an unbuffered stream may take a part only."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _keep(path: Path) -> None:
    """Give a file a second name: it has its own until the new one takes it."""
    back = path.with_name(f"{path.name}.back")
    back.unlink(missing_ok=True)
    os.link(path, back)

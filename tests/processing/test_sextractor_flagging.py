"""Flags of maps inside sources, and pixels without weight."""

from pathlib import Path

import numpy as np
import pytest

from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes
from processing.sextractor.extract import extract
from processing.sextractor.flagging import flags_of, weights_of
from processing.sextractor.images import ArrayRows, images
from processing.sextractor.records import OBJECT, Detections
from processing.sextractor.settings import Settings

SHAPE = (9, 7)


def detections() -> Detections:
    """Two sources of four pixels and one of one."""
    x, y = np.array([0, 1, 0, 1, 4, 5, 6, 6, 3], np.int32), np.array([0, 0, 1, 1, 5, 5, 5, 6, 8], np.int32)
    starts = np.array([0, 4, 8, 9])
    return Detections(
        np.zeros(3, OBJECT),
        starts,
        x,
        y,
        np.ones(9, np.float32),
        np.ones(9, np.float32),
        np.zeros(9, np.bool_),
        np.tile(np.array([0, 9], np.int32), (3, 1)),
        3,
        np.zeros((0, 2), np.int32),
    )


@pytest.mark.parametrize(
    ("kind", "values", "counts"),
    [
        ("OR", [7, 6, 0], [3, 4, 0]),
        ("AND", [0, 2, 0], [3, 4, 0]),
        ("MIN", [1, 2, 0], [1, 3, 0]),
        ("MAX", [6, 6, 0], [1, 1, 0]),
        ("MOST", [1, 2, 0], [1, 3, 0]),
    ],
)
def test_flags_of_pixels_are_combined(kind: str, values: list[int], counts: list[int]) -> None:
    flags = np.zeros(SHAPE, np.int16)
    flags[0, 0], flags[1, 0], flags[1, 1] = 1, 6, 4
    flags[5, 4:] = 2
    flags[6, 6] = 6
    flags[7, :] = 8
    table = flags_of(detections(), [ArrayRows(flags, kind="i4")], [kind])
    assert table["IMAFLAGS_ISO"][:, 0].tolist() == values
    assert table["NIMAFLAGS_ISO"][:, 0].tolist() == counts


def test_pixels_without_weight_are_counted() -> None:
    variance = np.ones(SHAPE, np.float32)
    variance[5, 4:6] = 1e30
    table = weights_of(detections(), ArrayRows(variance), ArrayRows(np.ones(SHAPE, np.float32)), (1e30, 1e30))
    assert table["NLOWWEIGHT_ISO"].tolist() == [0, 2, 0]
    assert table["NLOWDWEIGHT_ISO"].tolist() == [0, 0, 0]
    assert table["FLAGS_WEIGHT"].tolist() == [0, 1, 0]


def test_several_maps_give_a_vector() -> None:
    y, x = np.mgrid[:60, :60]
    pixels = np.random.default_rng(3).normal(0.0, 1.0, y.shape) + 100.0 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 8.0)
    maps = [np.where(x > 30, 4, 0), np.full(x.shape, 2)]
    columns = ("IMAFLAGS_ISO(2)", "NIMAFLAGS_ISO(2)", "ISOAREAF_IMAGE")
    found = extract(pixels.astype(np.float32), flags=maps, settings=Settings(columns=columns, flag_type=("OR", "MAX")))
    assert found["IMAFLAGS_ISO"].tolist() == [[4, 2]]
    count = found["NIMAFLAGS_ISO"][0]
    assert 0 < count[0] < count[1] == found["ISOAREAF_IMAGE"][0]


def test_pixels_of_a_file_are_picked_as_they_are_read(tmp_path: Path) -> None:
    flags = np.random.default_rng(6).integers(-3, 30000, (40, 30)).astype(np.int16)
    for name, pixels in (("plain", flags), ("shifted", flags.astype(np.uint16))):
        part = hdu_bytes(pixels, {}, name=name, compression=Compression.NONE)
        assemble(tmp_path / f"{name}.fits", primary_bytes({"NEXTEND": 1}), [part])
        rows = images(str(tmp_path / f"{name}.fits")).rows(0, kind="i4")
        y, x = np.array([11, 20, 12], np.int32), np.array([0, 29, 5], np.int32)
        assert np.array_equal(rows.at(y, x, 10, 25), rows.read(10, 25)[y - 10, x])
        assert np.array_equal(rows.at(y, x, 10, 25), pixels[y, x])

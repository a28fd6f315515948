"""What the engine holds in memory, how often it reads, and what it tells meanwhile."""

import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes
from processing.sextractor import flagging, images, measuring, session
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.exposure import Exposure, Names, of_array, of_files
from processing.sextractor.extract import extract, extract_all
from processing.sextractor.records import Pixels
from processing.sextractor.settings import Settings

SETTINGS = Settings(columns=("X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLAGS_WEIGHT", "IMAFLAGS_ISO(1)"))


def field(*spots: tuple[float, float], height: int = 100, seed: int = 1) -> Pixels:
    y, x = np.mgrid[:height, :120]
    pixels = np.random.default_rng(seed).normal(500.0, 4.0, y.shape)
    for across, along in spots or ((30.0, 20.0), (70.5, 50.2)):
        pixels += 400.0 * np.exp(-((x - across) ** 2 + (y - along) ** 2) / (2 * 1.8**2))
    return pixels.astype(np.float32)


@pytest.fixture
def packed(tmp_path: Path) -> Names:
    """Two images with weights and flags, all compressed."""
    weight, flags = np.ones((100, 120), np.float32), np.zeros((100, 120), np.int16)
    kinds = {
        "image": [field(seed=seed).astype(np.int32) for seed in (1, 2)],
        "weight": [weight, weight],
        "flag": [flags, flags],
    }
    for kind, arrays in kinds.items():
        options: dict[str, Any] = {"quantize": 1e-3} if kind == "weight" else {"compression": Compression.RICE}
        parts = [hdu_bytes(each, {"GAIN": 1.5}, name=f"ccd{at}", **options) for at, each in enumerate(arrays)]
        assemble(tmp_path / f"{kind}.fits.fz", primary_bytes({}), parts)
    names = {kind: str(tmp_path / f"{kind}.fits.fz") for kind in kinds}
    return Names(names["image"], weights=(names["weight"],), flags=(names["flag"],))


WEIGHTED = replace(SETTINGS, weight_type=("MAP_WEIGHT", "MAP_WEIGHT"))


def test_each_image_is_unpacked_once_and_let_go(packed: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[tuple[str, int]] = []
    read = images.read_pixels

    def counted(path: Path, extension: images.Extension) -> Any:
        unpacked.append((path.name, extension.hdu))
        return read(path, extension)

    monkeypatch.setattr(images, "read_pixels", counted)
    exposures = of_files(packed, WEIGHTED)
    came: list[int] = []
    made = extract_all(exposures, replace(WEIGHTED, threads=4), done=lambda each: came.append(each.number))
    assert all(each.sources == 2 for each in made)
    assert came == [each.number for each in made] == [1, 2]
    assert sorted(unpacked) == [(f"{kind}.fits.fz", hdu) for kind in ("flag", "image", "weight") for hdu in (1, 2)]
    for each in exposures:
        for rows in (each.rows, *each.weights, *each.flags):
            assert isinstance(rows, images.FitsRows)
            assert rows._stored is None


def test_threads_that_come_together_wait_for_one_that_unpacks(packed: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of_files(packed, WEIGHTED)[0].rows
    assert isinstance(rows, images.FitsRows)
    read, unpacked = images.read_pixels, []

    def held(path: Path, extension: images.Extension) -> Any:
        assert rows._lock.locked(), "a second one could unpack it too"
        unpacked.append(path)
        return read(path, extension)

    monkeypatch.setattr(images, "read_pixels", held)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda first: rows.read(first, first + 50), (0, 50)))
    assert len(unpacked) == 1
    assert np.array_equal(np.concatenate(parts), rows.read(0, 100))


def test_rows_go_to_another_process_without_their_pixels(packed: Names) -> None:
    exposure = of_files(packed, WEIGHTED)[1]
    pixels = exposure.rows.read(0, 100)
    sent = pickle.dumps(exposure)
    assert len(sent) < 20_000
    assert np.array_equal(pickle.loads(sent).rows.read(0, 100), pixels)


def test_what_the_first_try_held_is_gone_before_the_second(tmp_path: Path) -> None:
    pixels = field()
    pixels[3, 4] = np.nan
    fits.PrimaryHDU(pixels).writeto(tmp_path / "hole.fits")
    exposure = of_files(Names(str(tmp_path / "hole.fits")), SETTINGS)[0]
    held: list[weakref.ref[Any]] = []

    class Tried:
        """Stands for an engine with its pixels."""

    def start(_: Exposure, __: Settings) -> Any:
        if held:
            assert held[0]() is None
            return Tried()
        mine = Tried()
        held.append(weakref.ref(mine))
        raise images.OddPixels

    _, whole, _, found = session._begun(exposure, SETTINGS, start)
    assert len(found) == 1
    assert np.isfinite(whole.rows.read(0, 100)).all()
    assert len(extract(tmp_path / "hole.fits", settings=Settings())["X_IMAGE"]) == 2


def test_progress_is_told_by_one_at_a_time_and_never_falls(packed: Names) -> None:
    told: list[float] = []
    busy = threading.Lock()

    def progress(share: float) -> None:
        assert busy.acquire(blocking=False), "two at once"
        told.append(share)
        busy.release()

    extract_all(of_files(packed, WEIGHTED), replace(WEIGHTED, threads=2), progress=progress)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_pixels_without_weight_are_gathered_once_where_both_images_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = []
    at_pixels = flagging.at_pixels

    def counted(rows: Any, detections: Any, kind: str) -> Any:
        gathered.append(kind)
        return at_pixels(rows, detections, kind)

    monkeypatch.setattr(flagging, "at_pixels", counted)
    weight = np.ones((100, 120), np.float32)
    weight[18:22, 30] = 0.0
    columns = ("NLOWWEIGHT_ISO", "NLOWDWEIGHT_ISO", "FLAGS_WEIGHT")
    interp = ("NONE", "NONE")
    chosen = Settings(columns=columns, interp_type=interp, thresh_type="ABSOLUTE", detect_thresh=(20.0,))
    found = extract(field(), weight, settings=chosen)
    assert gathered == ["f4"]
    assert found["NLOWWEIGHT_ISO"].tolist() == found["NLOWDWEIGHT_ISO"].tolist() == [4, 0]
    assert found["FLAGS_WEIGHT"].tolist() == [3, 0]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_holds_one_band(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "WHOLE", 0)
    spots = [(60.0, 20.0 + 100.0 * k) for k in range(4)]
    exposure = of_array(field(*spots, height=400), weight=None, flags=[], header={})
    settings = Settings(memory_bufsize=100, threads=threads)
    bands: list[weakref.ref[Any]] = []
    most = 0
    made = measuring._band

    def counted(*given: Any) -> Any:
        nonlocal most
        band = made(*given)
        bands.append(weakref.ref(band.values))
        most = max(most, sum(each() is not None for each in bands))
        return band

    monkeypatch.setattr(measuring, "_band", counted)
    monkeypatch.setattr("processing.sextractor.weighting._WHOLE", 0)
    extracted = extract_all([exposure], settings)[0]
    assert extracted.sources == 4
    assert len(bands) == 4
    assert most <= threads


def test_the_end_of_a_blend_is_that_of_all_its_parts_even_those_that_clean_takes() -> None:
    """A local sky begins where the blend ends, whoever owns the pixel there."""
    y, x = np.mgrid[:60, :60]
    pixels = np.zeros(y.shape)
    pixels[28:48, 28:33] = 1.05  # by which they touch
    for height, across, along in ((100.0, 30.0, 28.0), (0.6, 30.0, 41.0)):
        pixels += height * np.exp(-((x - across) ** 2 + (y - along) ** 2) / (2 * 2.5**2))
    image = pixels.astype(np.float32)
    settings = Settings(filter=None, deblend_mincont=0.0, deblend_nthresh=64, clean_param=0.3)

    def found(*, clean: bool) -> Any:
        chosen = replace(settings, clean=clean)
        return detect(lambda first, end: (image[first:end], None), image.shape, Thresholds(1.0, 1.0), chosen)

    parts, cleaned = found(clean=False), found(clean=True)
    assert len(parts.objects) == 2
    assert set(parts.objects["parent"]) == {1}
    assert len(cleaned.objects) == 1
    above = np.argwhere(image > 1.0)
    assert cleaned.boxes[0, 4:].tolist() == above[-1, ::-1].tolist()
    assert (parts.boxes[:, 4:] == above[-1, ::-1]).all()

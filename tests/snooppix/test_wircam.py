"""A second camera: WIRCam's sky-subtracted frames are followed, and told from everything else."""

from dataclasses import replace
from pathlib import Path

import pytest

from dbclient.schema import FrameState
from snooppix.acceptance import Verdict, judge
from snooppix.headers import read_headers
from terapix.instruments import load_instrument
from terapix.settings import load
from tests.snooppix.desk import at_work, small_camera
from tests.support.archive import ServedArchive, small_fits
from tests.support.wircam import small_wircam, wircam_fits


def verdict(tmp_path: Path, content: bytes, *, slices: int = 64) -> Verdict:
    path = tmp_path / "frame.fits"
    path.write_bytes(content)
    camera = small_wircam()
    return judge(read_headers(path), replace(camera, acceptance=replace(camera.acceptance, slices=slices)))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("slices", [0, 1, 12])
def test_a_frame_is_accepted_as_image_and_as_cube(tmp_path: Path, *, slices: int, compressed: bool) -> None:
    assert verdict(tmp_path, wircam_fits("2281792p", slices=slices, compressed=compressed)).accepted


@pytest.mark.parametrize(
    ("content", "kind", "word", "why"),
    [
        (wircam_fits("2281792s"), "observatory-processed frame", "not-iiwi", "SKYSUBTR = 'no' where 'yes' is needed"),
        (wircam_fits("2281792o"), "raw frame", "raw", "without IIWIVER of I'iwi"),
        (small_fits("979412p"), "frame of another camera", "other-camera", "WIRCam with WIRCam is wanted"),
        (wircam_fits("2281792p", slices=65), "observatory-processed frame", "shape", "32x16x65 pixels, not 1 to 64"),
    ],
)
def test_all_else_is_refused_with_its_reason(tmp_path: Path, content: bytes, kind: str, word: str, why: str) -> None:
    found = verdict(tmp_path, content)
    assert found.kind.value == kind
    assert found.rejection is not None
    assert found.rejection.word == word
    assert why in found.rejection.sentence


def test_a_camera_without_cubes_refuses_them(tmp_path: Path) -> None:
    found = verdict(tmp_path, wircam_fits("2281792p", slices=2), slices=1)
    assert found.rejection is not None
    assert "is a cube of 32x16x2 pixels, not an image" in found.rejection.sentence


def test_megacam_refuses_wircam(tmp_path: Path) -> None:
    path = tmp_path / "2281792p.fits"
    path.write_bytes(wircam_fits("2281792p"))
    found = judge(read_headers(path), small_camera())
    assert found.kind.value == "WIRCam frame"
    assert found.rejection is not None


async def test_frames_of_the_chosen_camera_are_fetched_and_accepted(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    """Of all that the archive has of WIRCam and MegaCam, the p frames of WIRCam come, cubes with them."""
    cube = served_archive.offer("2281793p", content=wircam_fits("2281793p", slices=3))
    served_archive.offer("2281792p", content=wircam_fits("2281792p"))
    served_archive.offer("2281792s", content=wircam_fits("2281792s"))
    served_archive.offer("2281792o", content=wircam_fits("2281792o"))
    served_archive.offer("979412p")
    settings = load(
        environment={},
        overrides={
            "paths": {"directory": str(tmp_path / "host")},
            "archive": {"registry": served_archive.registry, "instrument": "WIRCam"},
            "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": 2.0, "instrument": "wircam"},
        },
    ).settings

    async with at_work(settings, camera=small_wircam()) as desk:
        frame = await desk.until_state("2281793p", FrameState.VALID)
        await desk.until_state("2281792p", FrameState.VALID)
        others = [await desk.frame(name) for name in ("2281792s", "2281792o", "979412p")]

    assert others == [None, None, None]
    assert (frame.runid, frame.filter, frame.ccds, frame.object) == ("18AP32", "J", 4, "PSOJ280.2973+63.2600")
    assert frame.needs is not None
    assert frame.needs["unpacked"] == 4 * 32 * 16 * 3 * 2
    assert frame.pixel_digest
    assert frame.path is not None
    assert (desk.settings.reception / frame.path).read_bytes() == cube.read_bytes()


def test_no_two_detectors_overlap_and_all_lie_within_the_mosaic() -> None:
    camera = load_instrument("wircam")
    places = [(ccd.column, ccd.row) for ccd in camera.ccds]
    assert sorted(places) == [(0, 0), (0, 2193), (2193, 0), (2193, 2193)]
    assert camera.mosaic == (2193 + 2048, 2193 + 2048)

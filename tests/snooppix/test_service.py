"""The whole of SNOOPPIX against the stand-in archive: sighted, fetched, verified, sorted."""

import hashlib
from pathlib import Path

from dbclient.schema import FrameState
from terapix.sections import SelectionSection
from tests.snooppix.desk import at_work, settings_for
from tests.support.archive import ServedArchive, small_fits


async def test_a_frame_and_its_calibrations_arrive_valid(served_archive: ServedArchive, tmp_path: Path) -> None:
    path = served_archive.offer("979412p")
    served_archive.offer("979412o")
    served_archive.offer("08Am03.flat.r.36.02")
    served_archive.offer("2003A.mask.0.36.01")

    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        frame = await desk.until_state("979412p", FrameState.VALID)
        flat = await desk.until_state("08Am03.flat.r.36.02", FrameState.VALID)
        mask = await desk.until_state("2003A.mask.0.36.01", FrameState.VALID)
        raw = await desk.frame("979412o")
        left = desk.incoming()

    reception = desk.settings.reception
    assert frame.path == "from_CADC/headervalid/979412p.fits.fz"
    assert (reception / frame.path).read_bytes() == path.read_bytes()
    assert frame.wire_digest == f"md5:{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
    assert (frame.runid, frame.filter, frame.ccds, frame.flat) == ("08AC14", "r.MP9601", 36, "08Am03.flat.r.36.02")
    assert frame.pixel_digest
    assert flat.path == "from_CADC/calibrations/08Am03.flat.r.36.02.fits.fz"
    assert mask.path == "from_CADC/calibrations/2003A.mask.0.36.01.fits.fz"
    assert raw is None
    assert left == []


async def test_a_reprocessed_frame_becomes_a_second_generation(served_archive: ServedArchive, tmp_path: Path) -> None:
    served_archive.offer("979412p")
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        served_archive.offer("979412p", seed=2)
        newer = await desk.until(
            lambda f: f is not None and f.generation == 2 and f.state is FrameState.VALID, "979412p"
        )
        older = (await desk.generations("979412p"))[1]

    assert newer.path == "from_CADC/headervalid/979412p.g2.fits.fz"
    assert older.state is FrameState.SUPERSEDED
    assert (desk.settings.reception / newer.path).read_bytes() == small_fits("979412p", seed=2)


async def test_what_is_not_from_elixir_is_rejected_with_its_reason(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("1000001p", IMRED_OP="OVERSCAN + BIAS")
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        frame = await desk.until_state("1000001p", FrameState.REJECTED)

    assert "lacks MASK_BP and FLAT-FIELD" in (frame.reason or "")
    rejected = desk.settings.reception / "from_CADC/rejected/not-elixir"
    assert sorted(path.name for path in rejected.iterdir()) == ["1000001p.fits.fz", "1000001p.fits.fz.why.json"]


async def test_frames_of_a_run_that_is_added_later_come_though_listed_long_ago(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979413p", RUNID="08AF99")
    served_archive.offer("979412p")
    settings = settings_for(tmp_path / "host", served_archive.registry, look_back=0.1)
    first, later = (SelectionSection(runs=runs) for runs in (("08AC14",), ("08AC14", "08AF99")))
    async with at_work(settings.model_copy(update={"selection": first})) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        assert await desk.frame("979413p") is None
    async with at_work(settings.model_copy(update={"selection": later})) as desk:
        await desk.until_state("979413p", FrameState.VALID)

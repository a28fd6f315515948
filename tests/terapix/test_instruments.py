"""The description of MegaCam, against the real headers it was written from."""

import pytest

from terapix.installation import etc_directory
from terapix.instruments import BadInstrument, UnknownInstrument, load_instrument
from tests.support.dumps import headers_of


@pytest.fixture(scope="module")
def megacam():
    return load_instrument("megacam")


@pytest.fixture
def edited(tmp_path):
    """Write the description of MegaCam with one change, return its path."""

    def write(before, after):
        text = (etc_directory() / "instruments" / "megacam.toml").read_text()
        assert before in text
        path = tmp_path / "edited.toml"
        path.write_text(text.replace(before, after, 1))
        return path

    return write


def test_megacam_has_36_ccds_and_place_for_40(megacam):
    assert [ccd.name for ccd in megacam.ccds] == [f"ccd{index:02}" for index in range(36)]
    assert [ccd.index for ccd in megacam.ccds_of(40)] == list(range(40))
    assert megacam.ccd_counts == (36, 40)
    assert [ccd.flipped for ccd in megacam.ccds] == [index < 18 for index in range(36)]


def test_no_two_ccds_overlap_on_the_mosaic(megacam):
    width, height = megacam.ccd_width, megacam.ccd_height
    every = megacam.ccds_of(40)
    for ccd in every:
        for other in every[ccd.index + 1 :]:
            assert abs(ccd.column - other.column) >= width or abs(ccd.row - other.row) >= height, (ccd, other)


def test_it_agrees_with_the_headers_of_979412p(megacam, shared_data):
    primary, *extensions = headers_of(shared_data / "headers/mega/979412p.fits.header.gz")
    x0, x1, y0, y1 = megacam.datasec

    assert primary["INSTRUME"] == megacam.camera
    assert primary["DETECTOR"] == megacam.detector
    assert primary["DETSIZE"] == f"[1:{megacam.mosaic_width},1:{megacam.mosaic_height}]"
    assert megacam.filter_named(primary["FILTER"]).band == "r"
    assert len(extensions) == len(megacam.ccds)
    for ccd, header in zip(megacam.ccds, extensions, strict=True):
        left, right = ccd.column + 1, ccd.column + megacam.ccd_width
        low, high = ccd.row + 1, ccd.row + megacam.ccd_height
        place = f"[{right}:{left},{high}:{low}]" if ccd.flipped else f"[{left}:{right},{low}:{high}]"
        assert header["DETSEC"] == place
        assert header["DATASEC"] == f"[{x0 + 1}:{x1},{y0 + 1}:{y1}]"
        assert (header["CCDNAME"], header["CCDNICK"]) == (ccd.serial, ccd.nick)
        assert int(header["EXTVER"]) == ccd.index
        for key, value in {
            "NAXIS1": megacam.width, "NAXIS2": megacam.height, "GAINA": ccd.gain_a, "GAINB": ccd.gain_b,
            "RDNOISEA": ccd.read_noise_a, "RDNOISEB": ccd.read_noise_b, "SATURATE": ccd.saturation,
            "CD1_1": ccd.cd1_1, "CD1_2": ccd.cd1_2, "CD2_1": ccd.cd2_1, "CD2_2": ccd.cd2_2,
        }.items():  # fmt: skip
            assert float(header[key]) == pytest.approx(value, rel=1e-12), (ccd.name, key)
        # the header has float32 reference pixels; ours are rounded to the tenth that they came from
        assert float(header["CRPIX1"]) == pytest.approx(ccd.crpix1, abs=1e-3)
        assert float(header["CRPIX2"]) == pytest.approx(ccd.crpix2, abs=1e-3)


@pytest.mark.parametrize("name", ["979412p", "1257365p"])
def test_what_is_required_stands_in_real_processed_frames(megacam, shared_data, name):
    primary, *extensions = headers_of(shared_data / f"headers/mega/{name}.fits.header.gz")
    accepted = megacam.acceptance

    assert {*accepted.elixir, *accepted.primary} <= set(primary)
    assert all(set(accepted.ccd) <= set(header) for header in extensions)
    assert set(accepted.operations) <= set(primary["IMRED_OP"].split(" + "))
    assert primary["OBSTYPE"] == accepted.obstype


def test_a_small_camera_for_test_frames(megacam):
    small = load_instrument("megacam:4")

    assert small == megacam.with_ccds(4)
    assert [ccd.index for ccd in small.ccds] == [0, 1, 2, 3]
    assert small.ccd_counts == (4,)
    assert small.acceptance.operations == megacam.acceptance.operations
    assert load_instrument("megacam:36") == megacam


def test_a_path_may_stand_for_the_name(edited):
    path = edited('title = "MegaCam at CFHT"', 'title = "Another"')

    assert load_instrument(path).title == "Another"
    assert load_instrument(f"{path}:2").ccd_counts == (2,)


@pytest.mark.parametrize("name", ["megacan", "megacam:", "megacam:x", "../instruments/megacam", "missing.toml"])
def test_an_unknown_name_is_told_with_the_nearest_one(name):
    with pytest.raises(UnknownInstrument, match="megacam"):
        load_instrument(name)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("bzero = 32668", 'bzero = "many"', "bzero"),
        ("bzero = 32668", "bzero = 32668\nzerob = 1", "zerob"),
        ("pixel_scale = 0.185 ", "", "pixel_scale"),
        ("datasec = [32, 2080, 0, 4612]", "datasec = [32, 2080, 0, 5612]", "datasec"),
        ("ccd_counts = [36, 40]", "ccd_counts = [36, 62]", "acceptance.ccd_counts"),
        ('"ccd00", "8341-7-5" ,', '"ccd00",', "ccds.rows.0"),
        ('["ccd01"', '["ccd00"', "ccds.rows.0"),
        ('"Martinien" ,  2112', '"Martinien" , 22112', "ccds.rows.0"),
        ("1.5400, 1.6300", "-1.5400, 1.6300", "ccds.0.gain_a"),
        ('name = "megacam"', 'name = "megacam', "the file"),
        ("columns = [", "names = [", "ccds"),
    ],
)
def test_a_bad_description_is_told_with_file_and_key(edited, before, after, key):
    path = edited(before, after)

    with pytest.raises(BadInstrument) as caught:
        load_instrument(path)

    assert str(caught.value).startswith(f"{path}: {key}")


def test_more_ccds_than_there_are_cannot_be_asked_for():
    with pytest.raises(BadInstrument, match="1 to 36"):
        load_instrument("megacam:37")


def test_wircam_agrees_with_the_headers_of_2281792p(shared_data):
    camera = load_instrument("wircam")
    primary, *extensions = headers_of(shared_data / "headers/wircam/2281792p.fits.header.gz")

    assert (primary["INSTRUME"], primary["DETECTOR"]) == (camera.camera, camera.detector)
    assert len(extensions) == len(camera.ccds) == int(primary["NEXTEND"])
    for ccd, header in zip(camera.ccds, extensions, strict=True):
        right, high = ccd.column + camera.ccd_width, ccd.row + camera.ccd_height
        assert header["DETSEC"] == f"[{ccd.column + 1}:{right},{ccd.row + 1}:{high}]"
        assert header["DATASEC"] == f"[1:{camera.width},1:{camera.height}]"
        assert header["EXTNAME"] == ccd.name
        assert camera.filter_named(header["FILTER"]).band == "J"
        for key, value in {
            "ZNAXIS1": camera.width, "ZNAXIS2": camera.height, "GAIN": ccd.gain, "RDNOISE": ccd.read_noise,
            "SATURATE": ccd.saturation, "DARKCUR": ccd.dark_current, "BZERO": camera.bzero,
            "CD1_1": ccd.cd1_1, "CD1_2": ccd.cd1_2, "CD2_1": ccd.cd2_1, "CD2_2": ccd.cd2_2,
        }.items():  # fmt: skip
            assert float(header[key]) == pytest.approx(value, rel=1e-12), (ccd.name, key)
        assert float(header["CRPIX1"]) == pytest.approx(ccd.crpix1, abs=1e-4)
        assert float(header["CRPIX2"]) == pytest.approx(ccd.crpix2, abs=1e-4)
        for keyword, done in camera.acceptance.done.items():
            assert header[keyword] == done

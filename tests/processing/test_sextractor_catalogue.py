"""Forms of SExtractor's catalogues, read by astropy."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from processing.errors import BadSetting
from processing.sextractor.catalogue import FORMS, begun, write
from processing.sextractor.extraction import Caution, Extraction, Statistics, Warned
from processing.sextractor.parameters import wanted
from processing.sextractor.settings import Settings

COLUMNS = ("NUMBER", "ALPHA_J2000", "DELTA_J2000", "MAG_AUTO", "FLAGS", "FLUX_APER(2)", "VIGNET(3,2)", "X_IMAGE")
SETTINGS = Settings(columns=COLUMNS, phot_apertures=(5.0, 10.0))


def extraction(number: int, sources: int) -> Extraction:
    kinds = wanted(COLUMNS)
    draw = np.random.default_rng(number)
    table = {}
    for each in kinds:
        shape = (sources, *each.shape)
        if each.column.dtype.kind == "i":
            table[each.name] = np.arange(sources).astype(each.column.dtype)
        else:
            table[each.name] = draw.uniform(-80.0, 80.0, shape).astype(each.column.dtype)
    cards = f"XTENSION= 'IMAGE   '{'':60}NAXIS   = {2:20d}{'':50}EXTNAME = 'ccd{number:02d}   '{'':60}"
    cautions = (Caution(Warned.NO_GAIN, "keyword GAIN and GAIN give none: errors are those of the background alone"),)
    return Extraction(number, 2, "image.fits", cards, kinds, table, Statistics(1.5, 2, 3, 3, 0.2, 0, 6e4), cautions)


@pytest.fixture
def made() -> list[Extraction]:
    return [extraction(1, 4), extraction(2, 3)]


def written(path: Path, form: str, made: list[Extraction]) -> Path:
    write(path, form, made, SETTINGS)
    assert list(path.parent.iterdir()) == [path]
    return path


def same(found: Table, made: list[Extraction], relative: float = 0.0) -> None:
    for each in made[0].wanted:
        expected = np.concatenate([one.table[each.name] for one in made])
        assert found[each.name].shape == expected.shape
        assert np.allclose(found[each.name], expected, rtol=relative, atol=0), each.name


@pytest.mark.parametrize(
    ("form", "name"), [("FITS_LDAC", "LDAC_OBJECTS"), ("FITS_1.0", "OBJECTS"), ("FITS", "SOURCES")]
)
def test_fits_tables_hold_every_bit(tmp_path: Path, made: list[Extraction], form: str, name: str) -> None:
    with fits.open(written(tmp_path / "made.cat", form, made)) as hdus:
        hdus.verify("exception")
        tables = [hdu for hdu in hdus if hdu.name == name]
        assert len(tables) == 2
        for hdu, each in zip(tables, made, strict=True):
            same(Table(hdu.data), [each])
        assert tables[0].columns["VIGNET"].dim == "(3,2)"
        unit = {"FITS": "ct"}.get(form, "count")
        assert tables[0].columns["FLUX_APER"].unit == unit


def test_ldac_holds_the_image_header_and_what_was_done(tmp_path: Path, made: list[Extraction]) -> None:
    with fits.open(written(tmp_path / "made.cat", "FITS_LDAC", made)) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", *["LDAC_IMHEAD", "LDAC_OBJECTS"] * 2]
        rows = hdus[1].data["Field Header Card"]
        cards = fits.Header.fromstring("".join(str(card).ljust(80) for card in np.ravel(rows)))
    assert cards["EXTNAME"] == "ccd01"
    assert (cards["SEXBKGND"], cards["SEXNFIN"], cards["SEXAPED2"], cards["SEXAPED4"]) == (1.5, 4, 10.0, 0.0)
    assert "NO_GAIN" in str(cards["HISTORY"])


def test_texts_hold_what_their_formats_hold(tmp_path: Path, made: list[Extraction]) -> None:
    lines = written(tmp_path / "made.cat", "ASCII_HEAD", made).read_text().splitlines()
    heads = [line for line in lines if line.startswith("#")]
    assert [int(line.split()[1]) for line in heads] == [1, 2, 3, 4, 5, 6, 8, 14]
    rows = np.array([line.split() for line in lines if not line.startswith("#")], float)
    assert rows.shape == (7, 14)
    assert np.allclose(rows[:4, 2], made[0].table["DELTA_J2000"], atol=6e-8)
    assert all(line.split()[2][0] in "+-" for line in lines if not line.startswith("#"))
    found = Table.read(tmp_path / "made.cat", format="ascii.sextractor")
    assert len(found) == 7


def test_votable(tmp_path: Path, made: list[Extraction]) -> None:
    document = votable.parse(written(tmp_path / "made.xml", "ASCII_VOTABLE", made), verify="exception")
    table = document.get_first_table()
    same(table.to_table(), made, 1e-8)
    field = table.get_field_by_id_or_name("ALPHA_J2000")
    assert (str(field.unit), field.ucd) == ("deg", "pos.eq.ra;pos.barycenter;meta.main")


def test_ecsv(tmp_path: Path, made: list[Extraction]) -> None:
    found = Table.read(written(tmp_path / "made.ecsv", "ECSV", made))
    same(found, made, 1e-7)
    assert found["MAG_AUTO"].unit == "mag"
    assert found["FLUX_APER"].meta["ucd"] == "phot.flux"
    assert found.meta["images"][1]["SEXNFIN"] == 3


def test_parquet_has_units_and_ucds_for_readers_that_know_them_and_rows_for_all(
    tmp_path: Path, made: list[Extraction]
) -> None:
    path = written(tmp_path / "made.parquet", "PARQUET", made)
    found = Table.read(path, format="parquet.votable")
    assert found["VIGNET"].shape == (7, 6)
    found["VIGNET"] = np.asarray(found["VIGNET"]).reshape(7, 2, 3)
    same(found, made)
    assert (str(found["MAG_AUTO"].unit), found["FLUX_APER"].meta["ucd"]) == ("mag", "phot.flux")
    assert found["VIGNET"].dtype == np.float32
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(k).num_rows for k in range(groups.num_row_groups)] == [4, 3]


def test_skycat_wants_its_four_columns_first(tmp_path: Path, made: list[Extraction]) -> None:
    text = written(tmp_path / "made.cat", "ASCII_SKYCAT", made).read_text()
    assert "\nid\tra\tdec\tmag\tFLAGS\t" in text
    assert text.endswith("[EOD]")
    other = Extraction(1, 1, "a", "", wanted(["X_IMAGE"]), {"X_IMAGE": np.ones(1, np.float32)}, made[0].statistics)
    with pytest.raises(BadSetting, match="ALPHA_J2000"):
        write(tmp_path / "other.cat", "ASCII_SKYCAT", [other], SETTINGS)
    assert not (tmp_path / "other.cat").exists()


@pytest.mark.parametrize("form", ["FITS_LDAC", "ASCII"])
def test_nothing_remains_of_a_catalogue_whose_images_do_not_all_come(
    form: str, tmp_path: Path, made: list[Extraction]
) -> None:
    def broken_off() -> None:
        with begun(tmp_path / "made.cat", form, SETTINGS) as add:
            add(made[0])
            raise OSError("the second image is gone")

    with pytest.raises(OSError, match="gone"):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_no_source_at_all(tmp_path: Path) -> None:
    for form in FORMS:
        write(tmp_path / form, form, [extraction(1, 0)], SETTINGS)
    assert fits.getdata(tmp_path / "FITS_LDAC", 2).size == 0
    assert pq.read_table(tmp_path / "PARQUET").num_rows == 0
    with pytest.raises(BadSetting, match="FITS_LDAC"):
        write(tmp_path / "x", "HDF5", [extraction(1, 0)], SETTINGS)

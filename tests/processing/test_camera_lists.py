"""Lists of sources on the sky, as text and as tables."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from processing.errors import BadSetting
from processing.skymaker.objects import read_objects

LINES = """\
# code ra dec mag, share, bulge, disc
200 10.0 2.0 20.0 0.4 1.5 0.8 120 2.5 0.5 30 0.3 4
100 11.0 -3.0 18.0
210 12.0 4.0 19.0 2.5 1.2 0.7 90
"""


@pytest.mark.parametrize("packed", [False, True])
def test_stars_come_first_and_angles_turn_from_x_to_north(tmp_path, packed):
    path = tmp_path / "my.list"
    path.write_bytes(gzip.compress(LINES.encode()) if packed else LINES.encode())
    objects = read_objects(path)

    assert objects.code.tolist() == [100, 200, 210]
    assert objects.magnitudes[""].tolist() == [18.0, 20.0, 19.0]
    assert objects.bulge.tolist() == [0.0, 0.4, 1.0]
    assert objects.index.tolist() == [4.0, 4.0, 2.5]
    assert objects.scale.tolist() == [0.0, 2.5, 0.0]
    # counter-clockwise from x, which points west: 90 degrees are north
    assert np.degrees(objects.bulge_angles[[1, 2]]) == pytest.approx([30.0, 0.0])
    assert np.degrees(objects.angle[1]) == pytest.approx(120.0)


def table(path, **columns):
    fits.BinTableHDU.from_columns([fits.Column(name, "D", array=values) for name, values in columns.items()]).writeto(
        path
    )
    return path


def test_a_table_of_stuff_has_a_magnitude_for_each_band(tmp_path):
    path = table(
        tmp_path / "t.fits", code=[100, 200], ra=[1.0, 2.0], dec=[3.0, 4.0], mag_megaprime_g=[20.0, 21.0],
        bulge_fraction_megaprime_g=[0.0, 0.2], mag_megaprime_r=[19.0, 20.5], bulge_fraction_megaprime_r=[0.0, 0.3],
        disc_radius=[0.0, 1.0], disc_axis_ratio=[1.0, 0.5],
    )  # fmt: skip
    red, green = read_objects(path, "r.MP9601"), read_objects(path, "g.MP9401")

    assert red.magnitudes[""].tolist() == [19.0, 20.5]
    assert green.magnitudes[""].tolist() == [20.0, 21.0]
    assert (red.bulge[1], green.bulge[1], red.ratio[1]) == (0.3, 0.2, 0.5)
    with pytest.raises(BadSetting, match=r"no column MAG \(band i\.MP9702\); it has CODE, RA"):
        read_objects(path, "i.MP9702")


def test_a_plain_table_needs_positions_and_magnitudes_only(tmp_path):
    objects = read_objects(table(tmp_path / "t.fits", RA=[1.0], DEC=[2.0], MAG=[20.0]), "z")

    assert objects.stars.tolist() == [True]
    with pytest.raises(BadSetting, match="no column DEC"):
        read_objects(table(tmp_path / "u.fits", RA=[1.0], MAG=[20.0]))

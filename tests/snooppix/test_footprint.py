"""Where a mosaic lies: the short way for plain tangent planes gives what wcslib gives."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snooppix.headers import Header
from snooppix.metadata import _is_plain, _sky_corners, _wcs_cards

PLAIN = {
    "NAXIS": 2,
    "NAXIS1": 2112,
    "NAXIS2": 4644,
    "SIMPLE": True,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 214.6,
    "CRVAL2": 52.6,
    "CRPIX1": -3920.5,
    "CRPIX2": 9581.0,
    "CD1_1": -5.16e-5,
    "CD1_2": 1e-7,
    "CD2_1": -1.2e-7,
    "CD2_2": 5.17e-5,
}


def by_wcslib(cards):
    pixels = [[0.5, 0.5], [2112.5, 0.5], [2112.5, 4644.5], [0.5, 4644.5]]
    return WCS(fits.Header(list(_wcs_cards(Header(cards))))).all_pix2world(np.array(pixels), 1)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"CRVAL1": 0.01, "CRVAL2": -3.0},
        {"CRVAL1": 359.99, "CRVAL2": 89.9},
        {"CRVAL1": 12, "CRVAL2": -90.0},
        {"CD1_2": 5.1e-5, "CD1_1": 0.0, "CD2_2": 0.0, "CD2_1": 5.1e-5},
        {"CUNIT1": "deg", "CUNIT2": "deg"},
    ],
)
def test_a_plain_tangent_plane_agrees_with_wcslib_to_a_nanodegree(other):
    cards = PLAIN | other
    assert _is_plain(dict(_wcs_cards(Header(cards))))
    away = _sky_corners(Header(cards), 1) - by_wcslib(cards)
    away[:, 0] = (away[:, 0] + 180.0) % 360.0 - 180.0
    assert np.abs(away).max() < 1e-9


@pytest.mark.parametrize(
    "other", [{"PV1_1": 1.0}, {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}, {"CUNIT1": "rad"}, {"CRVAL2": 91.0}]
)
def test_whatever_is_not_plain_is_left_to_wcslib(other):
    assert not _is_plain(dict(_wcs_cards(Header(PLAIN | other))))

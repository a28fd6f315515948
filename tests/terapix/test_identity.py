"""Names and digests from outside: read as the archive writes them, or refused."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terapix.identity import Digest, FrameId, UnsafeName, safe_name

MD5 = hashlib.md5(b"", usedforsecurity=False)


@pytest.mark.parametrize(
    ("path", "name", "number", "kind"),
    [
        ("cadc:CFHT/979412p.fits.fz", "979412p", 979412, "p"),
        ("/reception/979412o.fits", "979412o", 979412, "o"),
        ("979412p.header.gz", "979412p", 979412, "p"),
        ("cadc:CFHT/08Am03.flat.r.36.02.fits.fz", "08Am03.flat.r.36.02", None, ""),
        ("2003A.mask.0.36.01", "2003A.mask.0.36.01", None, ""),
    ],
)
def test_a_frame_is_the_same_wherever_it_lies(path: str, name: str, number: int | None, kind: str) -> None:
    frame = FrameId.of_file(path)
    assert (str(frame), frame.number, frame.kind) == (name, number, kind)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a..b", ".hidden", "-rf", "a b", "a\n", "a\0", "é", "a" * 81]
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName) as refusal:
        safe_name(name)
    assert refusal.value.name == name


@given(st.text(max_size=100))
def test_a_safe_name_is_one_part_of_a_path(name: str) -> None:
    try:
        safe_name(name)
    except UnsafeName:
        return
    assert name
    assert not set(name) & set("/\\\0\n:")
    assert name not in {".", ".."}


def test_a_digest_is_read_from_the_catalogue_and_from_both_kinds_of_header() -> None:
    digest = Digest.parse(f" MD5:{MD5.hexdigest().upper()} ")
    assert str(digest) == f"md5:{MD5.hexdigest()}"
    of_bytes = base64.b64encode(MD5.digest()).decode()
    of_text = base64.b64encode(MD5.hexdigest().encode()).decode()
    assert Digest.of_header(f"md5={of_bytes}") == Digest.of_header(f"MD5={of_text}") == digest


@pytest.mark.parametrize("text", ["", "md5:", "md5:zz", "crc:00", "d41d8cd98f00b204e9800998ecf8427e"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no digest"):
        Digest.parse(text)


@given(st.text(max_size=60))
def test_a_header_that_is_no_digest_is_none(value: str) -> None:
    assert Digest.of_header(value) is None
    assert Digest.of_header(f"md5={value}") is None or len(value) >= 24

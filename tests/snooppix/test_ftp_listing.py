"""Lines of listings as servers write them: Unix, DOS and for machines; odd ones are understood or told of."""

from datetime import UTC, datetime

import pytest

from snooppix.ftp.control import facts_of, printable, stamp
from snooppix.ftp.listing import Entry, LineUnread, digests, entry

NOW = datetime(2008, 4, 2, 12, tzinfo=UTC)
NAME = "979412p.fits.fz"


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]


def file(size: int | None, modified: datetime | None, name: str = NAME) -> Entry:
    return Entry(name, directory=False, size=size, modified=modified)


def folder(name: str, modified: datetime | None) -> Entry:
    return Entry(name, directory=True, size=None, modified=modified)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        # vsftpd
        (f"-rw-r--r--    1 ftp      ftp      349123456 Mar 30 06:15 {NAME}", file(349123456, at(2008, 3, 30, 6, 15))),
        (f"-rw-r--r--    1 1000     1000     5368709120 Nov 25  2007 {NAME}", file(5368709120, at(2007, 11, 25))),
        ("drwxr-xr-x    2 ftp      ftp          4096 Mar 30 06:15 08AC14", folder("08AC14", at(2008, 3, 30, 6, 15))),
        # proftpd, with a sticky directory and an access list
        ("drwxrwxrwt   3 elixir  cfht      4096 Dec 31 23:59 night", folder("night", at(2007, 12, 31, 23, 59))),
        (f"-rw-r--r--+  1 elixir  cfht       100 Apr  2 11:59 {NAME}", file(100, at(2008, 4, 2, 11, 59))),
        # pure-ftpd has hours of one figure nowhere, wu-ftpd has; glftpd has no group
        (f"-rw-r--r--   1 elixir       100 Apr  2  1:09 {NAME}", file(100, at(2008, 4, 2, 1, 9))),
        # a clock that is some hours ahead of ours says tomorrow, and means it; the day after is of last year
        (f"-rw-r--r--   1 e  c  100 Apr  3 08:00 {NAME}", file(100, at(2008, 4, 3, 8, 0))),
        (f"-rw-r--r--   1 e  c  100 Apr  4 08:00 {NAME}", file(100, at(2007, 4, 4, 8, 0))),
        (f"-rw-r--r--   1 e  c  100 Feb 29 08:00 {NAME}", file(100, at(2008, 2, 29, 8, 0))),
        # a group of two words, as Windows domains have
        (f"-rw-r--r--   1 CFHT\\elixir Domain Users  100 Mar 30  2006 {NAME}", file(100, at(2006, 3, 30))),
        # ls --time-style=long-iso and full-iso
        (f"-rw-r--r-- 1 e c 100 2008-03-30 06:15 {NAME}", file(100, at(2008, 3, 30, 6, 15))),
        (f"-rw-r--r-- 1 e c 100 2008-03-30 06:15:39.123456789 +0000 {NAME}", file(100, at(2008, 3, 30, 6, 15))),
        # links tell their own size; one that counts with 32 bits has it below zero: both are to be asked
        (f"lrwxrwxrwx  1 e c  33 Mar 30 06:15 {NAME} -> ../old/{NAME}", file(None, at(2008, 3, 30, 6, 15))),
        (f"-rw-r--r--  1 e c  -1294967296 Mar 30 06:15 {NAME}", file(None, at(2008, 3, 30, 6, 15))),
        # spaces belong to names, the leading and the last one too
        ("-rw-r--r--  1 e c  5 Mar 30 06:15  read me ", file(5, at(2008, 3, 30, 6, 15), " read me ")),
    ],
)
def test_listings_of_unix(line: str, found: Entry) -> None:
    assert entry(line, machine=False, now=NOW) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"03-30-08  06:15AM            349123456 {NAME}", file(349123456, at(2008, 3, 30, 6, 15))),
        (f"03-30-08  12:15AM                    1 {NAME}", file(1, at(2008, 3, 30, 0, 15))),
        (f"03-30-08  12:15PM                    1 {NAME}", file(1, at(2008, 3, 30, 12, 15))),
        (f"03-30-99  11:15PM                    1 {NAME}", file(1, at(1999, 3, 30, 23, 15))),
        (f"03-30-2008  18:15           5368709120 {NAME}", file(5368709120, at(2008, 3, 30, 18, 15))),
        (f"03-30-2008  06:15 PM     5,368,709,120 {NAME}", file(5368709120, at(2008, 3, 30, 18, 15))),
        ("03-30-08  06:15AM       <DIR>          08AC14", folder("08AC14", at(2008, 3, 30, 6, 15))),
        ("03-30-08  06:15AM       <DIR>          my night", folder("my night", at(2008, 3, 30, 6, 15))),
        ("03-30-08  06:15AM                    5 read me.txt", file(5, at(2008, 3, 30, 6, 15), "read me.txt")),
    ],
)
def test_listings_of_dos(line: str, found: Entry) -> None:
    assert entry(line, machine=False, now=NOW) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"type=file;size=5368709120;modify=20080330061539; {NAME}", file(5368709120, at(2008, 3, 30, 6, 15, 39))),
        (f"Type=File;Size=1;Modify=20080330061539.123;UNIX.mode=0644; {NAME}", file(1, at(2008, 3, 30, 6, 15, 39))),
        ("modify=20080330061539;type=dir;unique=801U2; a night", folder("a night", at(2008, 3, 30, 6, 15, 39))),
        (f"type=OS.unix=slink:/old/{NAME};modify=20080330061539; {NAME}", file(None, at(2008, 3, 30, 6, 15, 39))),
        (f"type=file; {NAME}", file(None, None)),
        (f"type=file;size=²³;modify=20081330061539; {NAME}", file(None, None)),
        (f"type=file;size={'9' * 40}; {NAME}", file(None, None)),
        ("type=file;size=1;  leads with a space", file(1, None, " leads with a space")),
        ("type=cdir;modify=20080330061539; .", None),
        ("type=pdir;modify=20080330061539; ..", None),
        ("type=dir; ..", None),
        ("type=OS.unix=chr-1/3; null", None),
    ],
)
def test_listings_for_machines(line: str, found: Entry | None) -> None:
    assert entry(line, machine=True, now=NOW) == found


@pytest.mark.parametrize(
    "line",
    [
        "total 1234",
        "crw-rw-rw-   1 root     root       1,   3 Mar 30 06:15 null",
        "srwxr-xr-x   1 root     root       0 Mar 30 06:15 socket",
        "drwxr-xr-x   2 ftp ftp 4096 Mar 30 06:15 .",
        "drwxr-xr-x   2 ftp ftp 4096 Mar 30 06:15 ..",
        "03-30-08  06:15AM       <JUNCTION>     old [\\??\\D:\\old]",
    ],
)
def test_what_is_neither_file_nor_directory_is_passed_over(line: str) -> None:
    assert entry(line, machine=False, now=NOW) is None


@pytest.mark.parametrize(
    ("line", "machine"),
    [
        ("Server busy, come back later", False),
        ("-rw-r--r--   1 e  c  100 Foo 30 06:15 x", False),
        ("-rw-r--r--   1 e  c  100 Mar 32 06:15 x", False),
        ("02-30-08  06:15AM  1 x", False),
        ("+i8388621.29609,m824255902,/,\tdev", False),
        ("no facts at all", True),
        ("type=file;size=1;", True),
        ("size=1; nameless", True),
        ("type=file; " + "x" * 5000, True),
    ],
)
def test_a_line_in_no_known_form_is_told_of(line: str, *, machine: bool) -> None:
    with pytest.raises(LineUnread):
        entry(line, machine=machine, now=NOW)


def test_what_cannot_be_printed_is_escaped_before_it_is_told() -> None:
    with pytest.raises(LineUnread) as problem:
        entry("\x1b[2J\x00\rgone\x85\u2028", machine=False, now=NOW)
    assert str(problem.value).endswith(r"known: \x1b[2J\x00\rgone\x85\u2028")
    assert printable("Répertoire") == "Répertoire"


@pytest.mark.parametrize("text", ["", "2008", "20080230061539", "2008-03-30", "20080330061539Z", "²0080330061539"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert stamp(text) is None


def test_a_fact_may_hold_an_equals_sign() -> None:
    assert facts_of("type=OS.unix=slink:/a;size=3; b c") == ({"type": "OS.unix=slink:/a", "size": "3"}, "b c")


def test_files_of_digests_in_their_three_forms() -> None:
    text = f"{'a' * 32}  x.fits\n{'b' * 32} *./y.fits\nMD5 (z.fits) = {'C' * 32}\n{'d' * 32}\nnonsense\n"
    found = {name: digest.hexadecimal[0] for name, digest in digests(text, of="alone.fits").items()}
    assert found == {"x.fits": "a", "y.fits": "b", "z.fits": "c", "alone.fits": "d"}

"""Statistics as rows, at the command line and on the page."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from dbclient.stores import Sums
from spica.cli.application import app
from spica.statistics import By, Window, as_csv, rows
from terapix.instruments import load_instrument
from tests.support.console import console, plain

NOW = datetime(2008, 4, 2, 12, tzinfo=UTC)
WHOLE = Window(NOW - timedelta(days=4), NOW)
NIGHT = Sums("2008-03-30", expected=4, held=3, weighted=1, exposure=900.0, bytes=30, received=4, received_bytes=40)
MONDAY = Sums("2008-03-31", expected=1, held=1, weighted=1, exposure=300.0, bytes=10, received=2, received_bytes=20)


def figures(found, *names):
    return [tuple(getattr(row, name) for name in ("name", *names)) for row in found]


def test_days_are_folded_into_weeks_from_monday_and_into_months_newest_first():
    wednesday = Sums("2008-04-02", expected=1, received=1, received_bytes=10)
    days = [NIGHT, MONDAY, wednesday]
    assert figures(rows(days, By.DAY, window=WHOLE), "held") == [
        ("2008-04-02", 0),
        ("2008-03-31", 1),
        ("2008-03-30", 3),
    ]
    assert figures(rows(days, By.WEEK, window=WHOLE), "expected", "received") == [
        ("2008-03-31", 2, 3),
        ("2008-03-24", 4, 4),
    ]
    assert figures(rows(days, By.MONTH, window=WHOLE), "held", "exposure") == [
        ("2008-04-01", 0, 0.0),
        ("2008-03-01", 4, 1200.0),
    ]


def test_rates_are_over_the_days_that_were_looked_at_and_of_a_period_over_its_own():
    run = Sums("08AC14", received=8, received_bytes=80)
    assert figures(rows([run], By.RUN, window=WHOLE), "files_a_day", "bytes_a_day") == [("08AC14", 2.0, 20.0)]
    today = Sums("2008-04-02", received=3)
    assert figures(rows([NIGHT, today], By.DAY, window=WHOLE), "files_a_day") == [
        ("2008-04-02", 6.0),
        ("2008-03-30", 4.0),
    ]


def test_what_came_in_a_minute_says_nothing_of_a_day():
    window = Window(NOW - timedelta(minutes=1), NOW)
    assert rows([Sums("08AC14", received=1)], By.RUN, window=window)[0].files_a_day == pytest.approx(24.0)


def test_the_window_is_from_the_first_listing_up_to_now_or_from_day_to_day():
    first, day = NOW - timedelta(days=40), date(2008, 3, 30)
    begin, after = datetime(2008, 3, 30, tzinfo=UTC), datetime(2008, 3, 31, tzinfo=UTC)
    assert Window.of(None, None, first=first, now=NOW) == Window(first, NOW)
    assert Window.of(day, day, first=first, now=NOW) == Window(begin, after)
    assert Window.of(date(1999, 1, 1), date.max, first=first, now=NOW) == Window(first, NOW)
    assert Window.of(date(2008, 5, 1), None, first=first, now=NOW) == Window(NOW, NOW)
    assert Window.of(None, None, first=None, now=NOW) == Window(NOW, NOW)


def test_a_filter_tells_its_camera():
    cameras = [load_instrument("megacam"), load_instrument("wircam")]
    sums = [Sums("Ks", held=1), Sums("g.MP9401", held=2), Sums("r.MP9601", held=3), Sums("z.SDSS", held=4), Sums(None)]
    found = rows(sums, By.INSTRUMENT, window=WHOLE, instruments=cameras)
    assert figures(found, "held") == [("MegaCam at CFHT", 5), ("WIRCam at CFHT", 1), ("not known", 4)]


def test_shares_are_of_the_exposure_time_and_the_status_says_what_lacks():
    found = rows(
        [
            Sums("a", expected=4, held=3, exposure=300.0),
            Sums("b", expected=1, held=1, weighted=1, exposure=100.0),
            Sums("c", expected=1, held=1),
            Sums("d", aside=1),
        ],
        By.RUN,
        window=WHOLE,
    )
    assert figures(found, "share", "status") == [
        ("a", 0.75, "1 missing"),
        ("b", 0.25, "weighted"),
        ("c", 0.0, "held"),
        ("d", 0.0, "nothing expected"),
    ]


def test_names_from_headers_do_not_make_a_spreadsheet_reckon():
    hostile = [Sums('=HYPERLINK("x")', held=1), Sums('a,"b"\n', held=2)]
    found = list(csv.reader(io.StringIO(as_csv(rows(hostile, By.RUN, window=WHOLE)), newline="")))
    assert [line[0] for line in found] == ["name", '\'=HYPERLINK("x")', 'a,"b"\n']
    assert all(len(line) == len(found[0]) for line in found)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    directory = tmp_path_factory.mktemp("night")
    async with console(directory) as running:
        file = directory / "terapix.toml"
        file.write_text(f'[paths]\ndirectory = "{directory}"\n')
        yield running, str(file)


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["statistics", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def config(night):
    return night[1]


class TestCommand:
    def test_a_table_a_json_and_a_csv_say_the_same(self, config):
        code, said, _ = call("-c", config, "--json")
        assert code == 0
        found = {row["name"]: row for row in json.loads(said)}
        assert (found["08AC14"]["expected"], found["08AC14"]["held"], found["08AC14"]["weighted"]) == (12, 8, 6)
        code, said, _ = call("-c", config, "--csv")
        lines = list(csv.DictReader(io.StringIO(said)))
        assert {line["name"]: int(line["held"]) for line in lines} == {n: row["held"] for n, row in found.items()}
        code, said, _ = call("-c", config)
        assert (code, bool(re.search(r"08AC14\s+12\s+8\s+6\s", said))) == (0, True), said

    @pytest.mark.parametrize("by", By)
    def test_every_way_of_counting_counts_all(self, config, by):
        code, said, problem = call("-c", config, "--by", by, "--json")
        assert code == 0, problem
        assert sum(row["expected"] for row in json.loads(said)) == (13 if by is By.NODE else 24)

    def test_days_narrow_it_and_nothing_is_an_answer(self, config):
        assert "No frame was listed in this time" in call("-c", config, "--until", "2008-01-01")[1]
        assert json.loads(call("-c", config, "--since", "2026-11-24", "--by", "day", "--json")[1])

    def test_the_sums_can_be_counted_anew(self, config):
        code, said, _ = call("-c", config, "--recount")
        assert (code, said.strip()) == (0, "All sums that are kept are as counted.")

    def test_what_makes_no_sense_is_exit_2(self, config):
        assert call("-c", config, "--since", "2026-02-02", "--until", "2026-02-01")[0] == 2
        assert call("-c", config, "--csv", "--json")[0] == 2
        assert call("-c", config, "--by", "moon")[0] == 2


@pytest.mark.asyncio(loop_scope="module")
class TestPage:
    async def test_it_says_draws_and_lists(self, night):
        page, _ = night
        text = await page.text("/statistics")
        said = plain(text)
        assert "16 exposures of 24 listed are held, 11 weighted: 5.5 GB, 1.9 h on the sky." in said
        assert re.search(r"Bytes received, by day 20 files, 6\.9 GB", said), said
        assert re.search(r"08AC14 12 8 6 1 1\.1 56 2\.8 10 3\.5 \S+ \S+ 4 missing", said), said
        drawn = re.findall(r'<svg class="bar"[^>]*><rect[^>]* width="([\d.]+)"', text)
        assert drawn == ["480.0", "1000.0", "900.0", "990.0"], "seconds of g, i, r and u: 960, 2000, 1800, 1980"
        assert 'href="/frames?run=08AC14"' in text
        assert 'href="/statistics" aria-current="page"' in text

    async def test_csv_and_json_are_linked_and_answer_the_same_question(self, night):
        page, _ = night
        text = await page.text("/statistics?by=week&since=2026-11-01")
        table, document = "/statistics.csv?by=week&since=2026-11-01", "/api/v1/statistics?by=week&since=2026-11-01"
        assert table.replace("&", "&amp;") in text
        assert document.replace("&", "&amp;") in text
        answer = await page.get(table)
        assert (answer.content_type, answer.charset) == ("text/csv", "utf-8")
        assert 'filename="statistics-by-week.csv"' in answer.headers["Content-Disposition"]
        (line,) = csv.DictReader(io.StringIO(await answer.text()))
        (row,) = json.loads(await page.text(document))["statistics"]
        assert (line["name"], int(line["held"])) == (row["name"], row["held"]) == ("2026-11-23", 16)

    @pytest.mark.parametrize("days", ["since=2026-11-24&until=2026-11-24", "until=1970-01-01", "since=2999-01-01",
                                      "until=9999-12-31", "since=1970-01-01&until=9999-12-31"])  # fmt: skip
    async def test_any_days_can_be_asked_for(self, night, days):
        page, _ = night
        for by in By:
            await page.text(f"/statistics?by={by}&{days}")

    @pytest.mark.parametrize(
        "query",
        ["by=moon", "since=yesterday", "since=0001-01-01", "until=2026-02-30", "since=2026-02-02&until=2026-02-01"],
    )
    async def test_what_makes_no_sense_is_said(self, night, query):
        page, _ = night
        assert "makes no sense here" in await page.text(f"/statistics?{query}", status=400)
        assert (await page.get(f"/api/v1/statistics?{query}")).status == 400
        assert (await page.get(f"/statistics.csv?{query}")).status == 400

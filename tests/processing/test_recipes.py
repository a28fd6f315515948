"""Recipes and flags: what names a product's making must not change by accident."""

from itertools import pairwise
from pathlib import Path

import pytest

from processing.errors import BadRecipe
from processing.flags import ALL_FLAGS, CALIBRATION, PixelFlag
from processing.provenance import digest_of, history
from processing.recipes import WeightRecipe, in_full, load_recipe
from terapix.flags import FLAGS
from terapix.identity import UnsafeName


def test_bits_of_the_flag_map_are_frozen() -> None:
    expected = {
        "BAD": 1, "OVERSCAN": 2, "SATURATED": 4, "LOW_RESPONSE": 8, "HIGH_RESPONSE": 16, "COSMIC": 32, "SATELLITE": 64,
        "BLEED": 128, "HALO": 256, "SPIKE": 512, "GHOST": 1024, "HOT": 2048, "DEAD": 4096, "EDGE": 8192, "HAND": 16384,
    }  # fmt: skip
    assert {flag.name: flag.value for flag in PixelFlag} == expected
    assert sum(expected.values()) == ALL_FLAGS


def test_every_flag_is_shown_in_a_colour_of_its_own() -> None:
    assert {flag.name: flag.value for flag in FLAGS} == {flag.name: flag.value for flag in PixelFlag}
    assert len({flag.colour for flag in FLAGS}) == len({flag.words for flag in FLAGS}) == len(PixelFlag)
    apart = [sum((x - y) ** 2 for x, y in zip(a.colour, b.colour, strict=True)) for a in FLAGS for b in FLAGS if a != b]
    assert min(apart) > 30**2, "two colours that nobody can tell apart"


def test_the_shipped_recipe_is_the_default_one() -> None:
    assert load_recipe("weight") == WeightRecipe()


def test_a_recipe_in_full_is_the_same_recipe_with_a_comment_for_each_value(tmp_path: Path) -> None:
    text = in_full(WeightRecipe())
    (tmp_path / "full.toml").write_text(text)
    assert load_recipe("full", directory=tmp_path) == WeightRecipe()
    lines = text.splitlines()
    bare = [line for before, line in pairwise(lines) if " = " in line and line[0] != "#" and before[:2] != "# "]
    assert bare == []


def test_every_kind_of_defect_can_be_switched_off_and_keeps_its_weight_if_one_likes() -> None:
    kinds = {
        "edges": {"EDGE"}, "dead": {"DEAD"}, "saturation": {"SATURATED", "BLEED"}, "cosmics": {"COSMIC"},
        "hot": {"HOT"}, "stars": {"HALO", "SPIKE", "GHOST"}, "trails": {"SATELLITE"},
    }  # fmt: skip
    everything = WeightRecipe()
    assert everything.flags == ALL_FLAGS
    for table, flags in kinds.items():
        without = WeightRecipe.model_validate({table: {"on": False}})
        assert {flag.name for flag in PixelFlag if flag & everything.flags & ~without.flags} == flags
    assert WeightRecipe(hand=False).flags == ALL_FLAGS & ~PixelFlag.HAND
    kept = {flag.name for flag in PixelFlag if not flag & everything.nulls} - {flag.name for flag in CALIBRATION}
    assert kept == {"HALO", "SPIKE", "GHOST", "EDGE"}
    assert WeightRecipe(keep_weight=("COSMIC",)).nulls & (PixelFlag.COSMIC | PixelFlag.HALO) == PixelFlag.HALO


def test_a_digest_names_values_and_not_the_look_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("# mine\nresponse_max = 1.30\n")
    (tmp_path / "b.toml").write_text("response_max = 1.31")
    same, other = (load_recipe(name, directory=tmp_path) for name in "ab")
    assert same.digest == WeightRecipe().digest
    assert other.digest != same.digest
    assert same.digest.startswith("sha256:")
    assert len(same.digest) == 7 + 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("respons_min = 0.3", ["respons_min is unknown", "did you mean response_min"]),
        ("response_min = 'low'", ["response_min = 'low'"]),
        ("response_min = 2.0", ["0 < response_min < response_max"]),
        ("weight_step = 0", ["weight_step = 0"]),
        ("saturated_share = 1.5", ["saturated_share = 1.5"]),
        ("[cosmics]\ngruop = 3", ["cosmics.gruop is unknown", "did you mean group"]),
        ("[trails]\non = 'maybe'", ["trails.on = 'maybe'"]),
        ("keep_weight = ['BAD']", ["BAD is none of", "HALO"]),
        ("response_min", ["is no TOML"]),
    ],
)
def test_a_bad_recipe_is_refused_with_file_key_and_hint(text: str, told: list[str], tmp_path: Path) -> None:
    (tmp_path / "weight.toml").write_text(text)
    with pytest.raises(BadRecipe) as caught:
        load_recipe("weight", directory=tmp_path)
    for part in [str(tmp_path / "weight.toml"), *told]:
        assert part in str(caught.value)


def test_an_unknown_or_unsafe_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("")
    with pytest.raises(BadRecipe, match="recipes there: deep"):
        load_recipe("weight", directory=tmp_path)
    with pytest.raises(UnsafeName):
        load_recipe("../weight", directory=tmp_path)


def test_history_tells_every_fact_in_cards_of_80_bytes(tmp_path: Path) -> None:
    cards = history({"recipe": "sha256:" + "a" * 64, "note": "é\n"})
    assert [keyword for keyword, *_ in cards] == ["HISTORY"] * 3
    assert "".join(str(card[1]) for card in cards) == f"terapix: recipe: sha256:{'a' * 64}terapix: note: ??"
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_of(tmp_path / "a") == "md5:900150983cd24fb0d6963f7d28e17f72"

"""CLASS_STAR: the file of the network, what it is fed with, and what it answers."""

import math
from pathlib import Path

import numpy as np
import pytest

from processing.errors import BadSetting
from processing.sextractor import classifier

BIAS, SCALE = [0.1 * k for k in range(10)], [1.0 + 0.1 * k for k in range(10)]
HIDDEN = [[0.05 * (k - 4) for k in range(11)], [0.03 * (5 - k) for k in range(11)]]
OUTPUT = [1.5, -2.0, 0.3]


def network(place: Path, *, drop: int = 0) -> Path:
    numbers = [3, 10, 2, 1, *BIAS, *SCALE, *HIDDEN[0], *HIDDEN[1], *OUTPUT, 0.0, 1.0]
    path = place / "small.nnw"
    path.write_text("NNW\n# of two neurons\n" + "\n".join(str(number) for number in numbers[: len(numbers) - drop]))
    return path


def test_answers_are_those_of_the_layers(tmp_path: Path) -> None:
    told = [0.2 * k - 1.0 for k in range(10)]

    def neuron(weights: list[float], values: list[float]) -> float:
        total = sum(w * v for w, v in zip(weights[:-1], values, strict=True)) + weights[-1]
        return 1.0 / (1.0 + math.exp(-total))

    signal = [b + s * x for b, s, x in zip(BIAS, SCALE, told, strict=True)]
    expected = neuron(OUTPUT, [neuron(weights, signal) for weights in HIDDEN])
    answer = classifier.read_network(network(tmp_path))(np.array([told, told]))
    assert answer == pytest.approx([expected, expected], abs=1e-14)  # the same sums in float64


def test_rows_do_not_depend_on_their_neighbours(tmp_path: Path) -> None:
    found, rows = classifier.read_network(network(tmp_path)), np.random.default_rng(3).normal(size=(130, 10))
    assert np.array_equal(found(rows)[7:20], found(rows[7:20]))


def test_areas_are_in_squares_of_the_seeing_and_the_seeing_in_arcseconds() -> None:
    areas = np.array([[64.0, 32, 16, 8, 4, 2, 1, 1], [0.0] * 8])
    told = classifier.inputs(areas, np.array([1000.0, 5.0]), np.array([10.0, 10.0]), seeing=0.8, scale=0.2)
    assert told[0, :4] == pytest.approx([math.log10(4.0), 2.0, math.log10(2.0), 0.0])
    assert told[:, 9] == pytest.approx(math.log10(0.8))
    assert told[1, [0, 2, 8]] == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("text", "reason"), [("3 10 10 1\n", "NNW"), ("NNW\n3 9 10 1\n", "10 inputs"), ("NNW\nx", "x")]
)
def test_a_file_that_is_none_is_named(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.nnw"
    path.write_text(text)
    with pytest.raises(BadSetting, match=rf"bad\.nnw.*{reason}"):
        classifier.read_network(path)


def test_a_short_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"small\.nnw: 48 numbers, where its layers ask for 51"):
        classifier.read_network(network(tmp_path, drop=3))
    with pytest.raises(BadSetting, match=r"nowhere\.nnw.*STARNNW_NAME names a default\.nnw"):
        classifier.find(str(tmp_path / "nowhere.nnw"))

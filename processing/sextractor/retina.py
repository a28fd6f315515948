"""Retinas: files of EyE (``.ret``), neural networks that filter the image for detection."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting

_TABLE = "BP-ANN"
_REMEDY = "take the file as EyE wrote it, or another filter"


@dataclass(frozen=True, slots=True, eq=False)
class Retina:
    """A network that sees the pixels around one, and answers with the filtered one."""

    window: tuple[int, int]
    """Height and width of what it sees, pixels."""
    neurons: NDArray[np.int64]
    """Of each layer, the first of them the pixels and the last one neuron."""
    weights: NDArray[np.float32] = field(repr=False)
    """Of all neurons, layer by layer: one a neuron of the layer before, and one that is taken off."""
    linear: bool
    """Whether the last neuron answers with its sum, not with the sigmoid of it."""


def is_retina(path: Path) -> bool:
    """Tell whether a filter is a FITS file; False of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(6) == b"SIMPLE"
    except OSError:
        return False


def read_retina(path: Path) -> Retina:
    """Return the network of a file.

    Raises
    ------
    BadSetting
        Names the file, what of it is not as expected, and what to do.
    """
    from astropy.io import fits  # noqa: PLC0415  not needed with other filters

    try:
        with warnings.catch_warnings(), fits.open(path, memmap=False) as file:
            warnings.simplefilter("ignore")  # what lacks is told below
            if _TABLE not in file:
                raise BadSetting(f"{path}: it has no table {_TABLE}, so it is no retina; {_REMEDY}")
            header, rows = file[_TABLE].header, file[_TABLE].data
            columns = {} if rows is None or not len(rows) else {name: rows[name][0] for name in rows.names}
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as problem:
        raise BadSetting(f"{path}: its table {_TABLE} cannot be read ({problem}); {_REMEDY}") from problem
    where = f"{path}, HDU {_TABLE}"
    if header.get("BPTYPE") != "RETINA":
        raise BadSetting(f"{where}: BPTYPE = {header.get('BPTYPE')}: RETINA was expected; {_REMEDY}")
    if header.get("RENAXIS") != 2:
        raise BadSetting(f"{where}: RENAXIS = {header.get('RENAXIS')}: 2 was expected; {_REMEDY}")
    wide, tall, layers = (_whole(header, key, where, low) for key, low in _SIZES)
    neurons = np.ravel(_column(columns, "NNEUR_PER_LAYER", where)).astype(np.int64)
    told = " ".join(str(number) for number in neurons)
    if neurons.size < layers or (neurons[:layers] < 1).any():
        raise BadSetting(
            f"{where}: NNEUR_PER_LAYER = {told}: {layers} (BPNLAYER) numbers above 0 were expected; {_REMEDY}"
        )
    neurons = neurons[:layers]
    if neurons[0] != wide * tall or neurons[-1] != 1:
        raise BadSetting(
            f"{where}: NNEUR_PER_LAYER = {told}: {wide * tall} (RENAXIS1 times RENAXIS2) neurons were expected first "
            f"and 1 at the end; {_REMEDY}"
        )
    weights = []
    for number in range(1, layers):
        name, wanted = f"WEIGHT_LAYER{number}", (int(neurons[number - 1]) + 1) * int(neurons[number])
        found = np.ravel(_column(columns, name, where)).astype(np.float32)
        if found.size != wanted or not np.isfinite(found).all():
            raise BadSetting(
                f"{where}: {name} has {np.isfinite(found).sum()} numbers: {wanted} were expected; {_REMEDY}"
            )
        weights.append(found)
    return Retina((tall, wide), neurons, np.concatenate(weights), bool(header.get("BPLINEAR", 0)))


_SIZES = (("RENAXIS1", 1), ("RENAXIS2", 1), ("BPNLAYER", 2))


def _whole(header: Any, key: str, where: str, low: int) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise BadSetting(f"{where}: {key} = {value}: a whole number from {low} on was expected; {_REMEDY}")
    return value


def _column(columns: dict[str, Any], name: str, where: str) -> NDArray[Any]:
    if name not in columns:
        raise BadSetting(f"{where}: it has no column {name}, or no row; {_REMEDY}")
    values = np.asarray(columns[name])
    if values.dtype.kind not in "iuf":
        raise BadSetting(f"{where}: column {name} holds no numbers; {_REMEDY}")
    return values

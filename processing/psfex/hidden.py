"""Hidden dependencies: contexts that tell how the PSF changes from exposure to exposure, found from models of these."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from processing.psf_model import PsfModel, Variation
from processing.psfex.components import over_the_field
from processing.psfex.sample import Floats, Sample
from processing.psfex.settings import HIDDEN, Hidden


def dependencies(models: Sequence[Sequence[PsfModel]], number: int) -> Floats:
    """Return principal components of what differs between exposures, (exposures, number).

    Parameters
    ----------
    models : of the images of each exposure, all of one sampling an image; seen all over the field
    number : those that the exposures do not have are 0
    """
    seen = np.stack([np.concatenate([_seen(model).ravel() for model in exposure]) for exposure in models])
    left, sizes, _ = np.linalg.svd(seen - seen.mean(axis=0), full_matrices=False)
    result = np.zeros((len(seen), number))
    kept = min(number, int(np.count_nonzero(sizes > 1e-9 * sizes[0])))
    result[:, :kept] = (left * sizes)[:, :kept]
    return result


def _seen(model: PsfModel) -> Floats:
    images: Floats = np.tensordot(over_the_field(model.variation), model.images.astype(np.float64), 1)
    return images


def with_hidden(sample: Sample, hidden: Hidden, values: Floats) -> Sample:
    """Return stars whose PSF varies with hidden contexts too.

    Parameters
    ----------
    values : (n, hidden), of each star; their ranges are all that they are scaled to
    """
    visible = sample.variation
    columns, names, groups = [], [], []
    concealed = iter(values.T)
    for name, group in zip(hidden.contexts, hidden.groups, strict=True):
        if name.startswith(HIDDEN):
            column = next(concealed)
            low, high = float(column.min()), float(column.max())
            columns.append((column, 0.5 * (low + high), high - low if high > low else 1.0))
        elif name in visible.names:
            place = visible.names.index(name)
            columns.append((sample.contexts[:, place], visible.zeros[place], visible.scales[place]))
        else:
            continue
        names.append(name)
        groups.append(group)
    zeros, scales = tuple(each[1] for each in columns), tuple(each[2] for each in columns)
    variation = Variation(tuple(names), tuple(groups), zeros, scales, hidden.degrees)
    return replace(sample, contexts=np.stack([each[0] for each in columns], axis=1), variation=variation)


def at_hidden(model: PsfModel, visible: Variation, values: Floats) -> PsfModel:
    """Return what a model is where its hidden contexts have `values`: it varies as `visible` says."""
    whole = model.variation
    hidden = np.array([name.startswith(HIDDEN) for name in whole.names])
    scaled = (values - np.array(whole.zeros)[hidden]) / np.array(whole.scales)[hidden]
    terms = {powers: place for place, powers in enumerate(visible.powers)}
    images = np.zeros((len(terms), *model.images.shape[1:]))
    for powers, image in zip(whole.powers, model.images, strict=True):
        seen = tuple(power for power, concealed in zip(powers, hidden, strict=True) if not concealed)
        images[terms[seen]] += image * np.prod(scaled ** np.array(powers)[hidden])
    return replace(model, images=images.astype(np.float32), variation=visible)

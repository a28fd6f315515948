"""The stages as the worker calls them: what each is given, and what it hands back. The one door to `processing`."""

import contextlib
import fcntl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dbclient import stages
from dbclient.records import FrameRecord, NewProduct
from processing.kernel_cache import is_marked, mark
from spica.pipeline.orders import Order
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import ProcessingSection

if TYPE_CHECKING:
    from processing.products import MadeFile

log = logger("spica.worker")


class OtherVersion(TerapixError):
    """The node's software would not make what the job was made for."""

    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stage works on."""

    frame: FrameRecord
    path: Path
    flat: Path | None
    mask: Path | None
    regions: tuple[Path, ...]
    """What people marked on the frame, and on all frames of its run."""
    hot: Path | None
    """What is hot all over the run."""
    star_catalogues: tuple[Path, ...]
    """Stars whose haloes, spikes and ghosts are marked."""
    into: Path
    """Directory of the products."""
    scratch: Path
    """Directory for what the stage unpacks; it clears up after itself there, also after one that was killed."""
    recipe: str
    """Digest that the job was made for."""
    provenance: Mapping[str, str]
    maps: Mapping[str, Path] = field(default_factory=dict)
    """What the stage reads of the stage before, by kind of product."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage made."""

    products: tuple[NewProduct, ...]
    """Paths are absolute still."""
    summary: dict[str, Any]


Stage = Callable[[Order, Inputs, Callable[[float], None]], Made]


def warm(directory: Path) -> None:
    """See that the kernels of the weight stage are compiled, which takes half a minute once.

    The first process that comes compiles, the others of this host wait for it.
    """
    with _alone(directory, stages.WEIGHT) as wanted:
        if wanted:
            from processing.kernels import compile as kernels  # noqa: PLC0415 - compilers are loaded on the nodes alone

            kernels.warm()


def warm_sources(directory: Path) -> None:
    """See that the kernels of the sources stage are compiled, in a thread beside the first frames' weights."""

    def work() -> None:
        with _alone(directory, stages.SOURCES) as wanted:
            if wanted:
                from processing.sources.warming import warm as sources  # noqa: PLC0415 - as above

                sources()

    thread = threading.Thread(target=work, name="warm-sources", daemon=True)
    _warming.append(thread)
    thread.start()


_warming: list[threading.Thread] = []
"""What still compiles in this process; whoever needs it waits for it."""


@contextlib.contextmanager
def _alone(directory: Path, stage: str) -> Iterator[bool]:
    """Let one process of the host compile at a time; tells it whether there is anything to compile."""
    directory.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    with (directory / "compile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = not is_marked(stage)
        yield wanted
        if wanted:
            mark(stage)
    if wanted:
        log.info("kernels are compiled", stage=stage, seconds=round(time.monotonic() - begin, 1))


def digests(section: ProcessingSection) -> dict[str, str]:
    """Give the digest of the recipe of each stage that is wanted, with the software that runs it."""
    from processing.recipes import load_recipe, load_sources_recipe  # noqa: PLC0415 - the console asks without pixels

    weights = load_recipe(section.recipe)
    found = {stages.WEIGHT: weights.digest}
    if stages.SOURCES in section.stages:
        found[stages.SOURCES] = load_sources_recipe(section.sources_recipe).digest_with(weights)
    return found


def weigh(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
    """Make weight and flag maps of a frame."""
    from processing.recipes import load_recipe  # noqa: PLC0415 - as above
    from processing.weightwatcher import weigh_frame  # noqa: PLC0415 - as above

    recipe = load_recipe(order.recipe)
    _same(order, inputs, recipe.digest)
    made = weigh_frame(
        inputs.path,
        flat=inputs.flat,
        mask=inputs.mask,
        regions=inputs.regions,
        hot=inputs.hot,
        star_catalogues=inputs.star_catalogues,
        into=inputs.into,
        recipe=recipe,
        scratch=inputs.scratch,
        workers=order.workers,
        progress=progress,
        provenance=inputs.provenance,
    )
    return Made(_handed_in(made.products), dict(made.summary))


def find_sources(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
    """Make catalogue and PSF of a weighted frame."""
    from processing.recipes import load_recipe, load_sources_recipe  # noqa: PLC0415 - as above
    from processing.sources import catalogue_frame  # noqa: PLC0415 - as above

    recipe, weights = load_sources_recipe(order.recipe), load_recipe(order.weight_recipe)
    _same(order, inputs, recipe.digest_with(weights))
    while _warming:
        _warming[0].join()
        _warming.clear()
    made = catalogue_frame(
        inputs.path,
        weight=inputs.maps["weight"],
        flag=inputs.maps["flag"],
        into=inputs.into,
        recipe=recipe,
        weights=weights,
        scratch=inputs.scratch,
        workers=order.workers,
        progress=progress,
        provenance=inputs.provenance,
    )
    return Made(_handed_in(made.products), dict(made.summary))


def _same(order: Order, inputs: Inputs, digest: str) -> None:
    if digest != inputs.recipe:
        raise OtherVersion(
            f"{order.node} has another version of recipe {order.recipe}: {digest}, wanted is {inputs.recipe}"
        )


def _handed_in(files: "Iterable[MadeFile]") -> tuple[NewProduct, ...]:
    return tuple(
        NewProduct(
            kind=file.kind, path=str(file.path), size=file.size, digest=f"md5:{file.md5}", provenance=file.provenance
        )
        for file in files
    )


STAGES: Mapping[str, Stage] = {stages.WEIGHT: weigh, stages.SOURCES: find_sources}

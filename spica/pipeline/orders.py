"""What is asked of a worker, and what it answers. Light: both the console's process and the workers load it."""

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """One job, for the worker of its node."""

    job: int
    """Row of the job."""
    stage: str
    node: str
    """Name of the node."""
    directory: str
    """Root of the node's disk."""
    url: str
    """Address of the database."""
    recipe: str
    """Name of the stage's recipe in etc/recipes."""
    workers: int
    """Processes that the job may use."""
    lease: float
    """Seconds without a heartbeat after which the job is taken for lost."""
    attempts: int
    """Tries before the job counts as failed."""
    masks: str = ""
    """Directory of what people mark; empty: none is looked at."""
    star_catalogues: tuple[str, ...] = ()
    """Tables of bright stars; none: saturated cores tell of them."""
    weight_recipe: str = ""
    """Name of the recipe of the maps that the stage reads; empty: it reads none."""
    after: tuple[str, ...] = ()
    """Stages that are wanted of the frame after this one."""


class Outcome(enum.StrEnum):
    """How an order ended. What is true stands in the database; this is for the log."""

    DONE = "done"  #: products are registered
    FAILED = "failed"  #: the reason is written at the job
    NOT_OURS = "not-ours"  #: another worker has it, or it is done already
    GIVEN_BACK = "given-back"  #: the worker is stopping; the job is due again


def carry_out(order: Order) -> Outcome:
    """Do what was ordered; runs on the node."""
    from spica.pipeline.worker import work  # noqa: PLC0415 - pixels are loaded on the nodes, never in the console

    return work(order)

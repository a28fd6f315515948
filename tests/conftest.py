"""How tests are dealt to workers that run beside each other."""

import pytest

LONGEST = ("flow", "engine")
"""Groups that begin at once: a worker left alone with one at the end would leave the other cores idle."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests that share a fixture of their module go to one worker, which makes it once, and groups go first.

    Only where ``--dist loadgroup`` deals them; there ``--no-loadscope-reorder`` keeps the order that is made here.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    ranks = {}
    for item in items:
        if item.get_closest_marker("xdist_group") is None and shares(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
        group = item.get_closest_marker("xdist_group")
        ranks[item] = 2 if group is None else int(group.args[0] not in LONGEST)
    items.sort(key=ranks.__getitem__)


def shares(item: pytest.Item) -> bool:
    """Tell whether a test needs a fixture that is made once for its module."""
    found: dict[str, list[pytest.FixtureDef]] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    return any(made.scope == "module" for each in found.values() for made in each)

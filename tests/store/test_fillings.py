"""How full nodes were: one row a day and node, the last measurement of the day."""

from datetime import timedelta

from dbclient.schema import NodeState
from dbclient.stores import Fillings, Nodes
from dbclient.stores.fillings import Filled
from tests.support.night import NOW, node


async def test_each_day_keeps_what_was_measured_last(database):
    async with database.write() as session:
        here = await node(session)
        await node(session, "node2")
        await Nodes().set_state(session, "node2", NodeState.REMOVED, reason=None, now=NOW, source="t")
        for hours, used in ((0, 5), (1, 7), (24, 9)):
            await Nodes().measure(session, "node1", used=used, free=10 - used, now=NOW + timedelta(hours=hours))
            assert await Fillings().note(session) == 1
        today, tomorrow = NOW.date(), (NOW + timedelta(days=1)).date()
        assert await Fillings().since(session, today) == {here: [Filled(today, 7, 3), Filled(tomorrow, 9, 1)]}
        assert await Fillings().since(session, tomorrow) == {here: [Filled(tomorrow, 9, 1)]}


async def test_what_was_never_measured_has_no_history(database):
    async with database.write() as session:
        await Nodes().upsert(session, name="node1", directory="/d", capacity=9, reserve=0, now=NOW)
        assert await Fillings().note(session) == 0
        assert await Fillings().since(session, NOW.date()) == {}

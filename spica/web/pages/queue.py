"""What operators ask of one transfer on ``/transfer``: to be paused, and to go on."""

from typing import Any

from aiohttp import web

from dbclient.errors import NoSuchRow
from dbclient.schema import TransferKind
from dbclient.stores import Pauses, Transfers
from dbclient.stores.pauses import REASON
from spica.web.console import console_of, who_is
from spica.web.gate import Access, access


@access(Access.OPERATOR)
async def set_pause(request: web.Request) -> web.Response:
    """``POST /transfer/queue``: pause one transfer to a node, or let it go on where it stopped."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    form = await request.post()
    said = {key: value.strip() for key, value in form.items() if isinstance(value, str)}
    number, because = said.get("transfer", ""), said.get("because", "")
    by: dict[str, Any] = {"by": who.name, "now": console.now()}
    async with console.database.write() as session:
        try:
            held = await Transfers().get(session, int(number) if number.isdecimal() and len(number) < 19 else 0)
        except NoSuchRow:
            raise web.HTTPBadRequest(text=f"There is no transfer {number[:20]!r}.") from None
        if held.kind is TransferKind.FETCH:
            raise web.HTTPBadRequest(text=f"{held.frame} is being fetched: only what goes to nodes can be paused.")
        match said.get("ask"):
            case "pause":
                if not because or len(because) > REASON or not because.isprintable():
                    text = f"Say because of what {held.frame} is paused, in 1 to {REASON} printable signs."
                    raise web.HTTPBadRequest(text=text)
                changed = await Pauses().pause(session, held, because=because, **by)
            case "resume":
                changed = await Pauses().resume(session, held, **by)
            case _:
                raise web.HTTPBadRequest(text="A transfer can be asked to pause or to resume.")
    if not changed:
        raise web.HTTPBadRequest(text=f"{held.frame} was already so, or has ended meanwhile: look at the queue again.")
    raise web.HTTPSeeOther("/transfer#queue")

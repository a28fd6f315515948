"""Sums over frames are kept as rows, by triggers that only add; a wide index that served to count runs goes."""

# ruff: noqa: S608 - statements are put together from the names that stand here, and from nothing else
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MEASURES = ("frames", "withdrawn", "bytes", "exposure", "received", "received_bytes")
WORDS = ("day", "node_id", "runid", "filter", "kind", "state", "current")
INTO = f"INSERT INTO tally_changes ({', '.join((*WORDS, *MEASURES))})"
COUNTED = ("kind", "current", "state", "runid", "filter", "size", "exposure_time", "withdrawn_at", "fetched_at",
           "spotted_at")  # fmt: skip
"""Columns of a frame that its tallies depend on."""
MARK = "(SELECT counted FROM tally_marks)"
INDEX = ("kind", "current", "runid", "state", "filter", "size", "withdrawn_at")


def words(row: str, *, node: str, postgresql: bool) -> str:
    """Write what a frame is counted under."""
    moment = f"coalesce({row}.fetched_at, {row}.spotted_at)"
    day = f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if postgresql else f"substr({moment}, 1, 10)"
    told = f"coalesce({row}.runid, ''), coalesce({row}.filter, ''), {row}.kind, {row}.state, {row}.current"
    return f"{day}, {node}, {told}"


def measures(row: str, *, sign: str = "", postgresql: bool) -> str:
    """Write what a frame adds, or with a sign takes away."""
    whole = "bigint" if postgresql else "INTEGER"
    size = f"CASE WHEN {row}.size BETWEEN 0 AND 1000000000000000 THEN {row}.size ELSE 0 END"
    exposure = (
        f"CASE WHEN {row}.exposure_time BETWEEN 0 AND 1000000000 "
        f"THEN CAST(round({row}.exposure_time * 1000) AS {whole}) ELSE 0 END"
    )
    withdrawn = f"CASE WHEN {row}.withdrawn_at IS NULL THEN 0 ELSE 1 END"
    received = f"CASE WHEN {row}.fetched_at IS NULL THEN 0 ELSE 1 END"
    received_bytes = f"CASE WHEN {row}.fetched_at IS NULL THEN 0 ELSE {size} END"
    return ", ".join(f"{sign}({what})" for what in ("1", withdrawn, size, exposure, received, received_bytes))


def one(row: str, *, sign: str = "", postgresql: bool) -> str:
    """Write the statement that tells of a frame's row, OLD or NEW, and of the nodes that hold it."""
    told = measures(row, sign=sign, postgresql=postgresql)
    frame = f"{INTO} SELECT {words(row, node='0', postgresql=postgresql)}, {told};"
    here = words(row, node="r.node_id", postgresql=postgresql)
    return f"{frame} {INTO} SELECT {here}, {told} FROM replicas AS r WHERE r.frame_id = {row}.id AND r.state = 'held';"


def held(row: str, *, sign: str = "", postgresql: bool, counted: str = "") -> str:
    """Write the statement that tells of a replica's row, OLD or NEW, if it is held."""
    here = words("f", node=f"{row}.node_id", postgresql=postgresql)
    told = measures("f", sign=sign, postgresql=postgresql)
    wanted = f"f.id = {row}.frame_id AND {row}.state = 'held'{counted}"
    # the frame's row is locked: who changes it at this moment could not see this replica, nor this the change
    lock = " FOR NO KEY UPDATE OF f" if postgresql else ""
    return f"{INTO} SELECT {here}, {told} FROM frames AS f WHERE {wanted}{lock};"


def upgrade() -> None:
    _tables()
    op.drop_index("ix_frames_runs", table_name="frames")
    done = sa.text("weighted_at IS NOT NULL")
    op.create_index("ix_frames_weighted", "frames", ["weighted_at"], sqlite_where=done, postgresql_where=done)
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()
    op.execute("INSERT INTO tally_marks (id, counted) VALUES (1, 0)")


def _counted() -> list[sa.Column[Any]]:
    return [
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("runid", sa.String(length=20), nullable=False),
        sa.Column("filter", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        *(sa.Column(name, NUMBER, nullable=False) for name in MEASURES),
    ]


def _tables() -> None:
    op.create_table(
        "tallies",
        sa.Column("level", sa.String(length=10), nullable=False),
        *_counted(),
        sa.PrimaryKeyConstraint("level", *WORDS, name=op.f("pk_tallies")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally_changes",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        *_counted(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tally_changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tally_marks",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("counted", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tally_marks")),
    )


def _on_sqlite() -> None:
    """Frames behind the mark are counted from their table: an insert costs nothing, and no trigger tells of one."""
    differs = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in COUNTED)
    gone, come = (one(row, sign=sign, postgresql=False) for row, sign in (("OLD", "-"), ("NEW", "")))
    op.execute(
        f"CREATE TRIGGER frames_counted_update AFTER UPDATE OF {', '.join(COUNTED)} ON frames "
        f"WHEN OLD.id <= {MARK} AND ({differs}) BEGIN {gone} {come} END"
    )
    op.execute(f"CREATE TRIGGER frames_counted_delete AFTER DELETE ON frames WHEN OLD.id <= {MARK} BEGIN {gone} END")
    counted = f" AND f.id <= {MARK}"
    gone, come = (held(row, sign=sign, postgresql=False, counted=counted) for row, sign in (("OLD", "-"), ("NEW", "")))
    moved = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in ("frame_id", "node_id", "state"))
    op.execute(f"CREATE TRIGGER replicas_counted_insert AFTER INSERT ON replicas BEGIN {come} END")
    op.execute(
        "CREATE TRIGGER replicas_counted_update AFTER UPDATE OF frame_id, node_id, state ON replicas "
        f"WHEN {moved} BEGIN {gone} {come} END"
    )
    op.execute(f"CREATE TRIGGER replicas_counted_delete AFTER DELETE ON replicas BEGIN {gone} END")


def _on_postgresql() -> None:
    """An insert of many frames is told of in a row a group."""
    grouped = words("f", node="0", postgresql=True)
    summed = ", ".join(f"sum({name})" for name in MEASURES)
    inner = f"SELECT {grouped}, {measures('f', postgresql=True)} FROM {{rows}} AS f"
    named = f"({inner}) AS told ({', '.join((*WORDS, *MEASURES))})"
    many = f"{INTO} SELECT {', '.join(WORDS)}, {summed} FROM {named} GROUP BY {', '.join(WORDS)};"
    _function("frames_counted_insert", many.format(rows="come"))
    op.execute(
        "CREATE TRIGGER frames_counted_insert AFTER INSERT ON frames REFERENCING NEW TABLE AS come "
        "FOR EACH STATEMENT EXECUTE FUNCTION frames_counted_insert()"
    )
    gone, come = (one(row, sign=sign, postgresql=True) for row, sign in (("OLD", "-"), ("NEW", "")))
    told = ", ".join(f"OLD.{name}" for name in COUNTED), ", ".join(f"NEW.{name}" for name in COUNTED)
    _function("frames_counted_update", f"{gone} {come}")
    op.execute(
        f"CREATE TRIGGER frames_counted_update AFTER UPDATE ON frames FOR EACH ROW "
        f"WHEN (({told[0]}) IS DISTINCT FROM ({told[1]})) EXECUTE FUNCTION frames_counted_update()"
    )
    _function("frames_counted_delete", gone)
    op.execute(
        "CREATE TRIGGER frames_counted_delete AFTER DELETE ON frames "
        "FOR EACH ROW EXECUTE FUNCTION frames_counted_delete()"
    )
    gone, come = (held(row, sign=sign, postgresql=True) for row, sign in (("OLD", "-"), ("NEW", "")))
    moved = "(OLD.frame_id, OLD.node_id, OLD.state) IS DISTINCT FROM (NEW.frame_id, NEW.node_id, NEW.state)"
    for deed, body, when in (
        ("insert", come, ""),
        ("update", f"{gone} {come}", f"WHEN ({moved}) "),
        ("delete", gone, ""),
    ):
        _function(f"replicas_counted_{deed}", body)
        op.execute(
            f"CREATE TRIGGER replicas_counted_{deed} AFTER {deed.upper()} ON replicas "
            f"FOR EACH ROW {when}EXECUTE FUNCTION replicas_counted_{deed}()"
        )
    op.execute(many.format(rows="frames"))
    here = words("f", node="r.node_id", postgresql=True)
    inner = f"SELECT {here}, {measures('f', postgresql=True)} FROM replicas AS r JOIN frames AS f ON f.id = r.frame_id"
    named = f"({inner} WHERE r.state = 'held') AS told ({', '.join((*WORDS, *MEASURES))})"
    op.execute(f"{INTO} SELECT {', '.join(WORDS)}, {summed} FROM {named} GROUP BY {', '.join(WORDS)}")


def _function(name: str, body: str) -> None:
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$")


def downgrade() -> None:
    deeds = {"frames": ["insert", "update", "delete"], "replicas": ["insert", "update", "delete"]}
    for table, names in deeds.items():
        for deed in names:
            if op.get_bind().dialect.name == "postgresql":
                op.execute(f"DROP TRIGGER {table}_counted_{deed} ON {table}")
                op.execute(f"DROP FUNCTION {table}_counted_{deed}()")
            elif (table, deed) != ("frames", "insert"):
                op.execute(f"DROP TRIGGER {table}_counted_{deed}")
    for table in ("tally_marks", "tally_changes", "tallies"):
        op.drop_table(table)
    op.drop_index("ix_frames_weighted", table_name="frames")
    op.create_index("ix_frames_runs", "frames", list(INDEX))

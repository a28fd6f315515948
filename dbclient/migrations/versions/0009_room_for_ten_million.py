"""Room is known at once among ten million frames: sums of what nodes hold, growth by instrument, disks of a node."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0011"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HELD = {"replicas": "replica", "products": "product"}
"""Tables of what nodes hold, and the kind of their stocks."""
FIELDS = sa.text("state IN ('valid', 'placed', 'weighted')")
SEED = """INSERT INTO growths
(instrument, stage, kind, product_bytes, file_bytes, unpacked_bytes, products, counted_at)
SELECT '', latest.stage, latest.kind, sum(latest.size), sum(coalesce(frames.size, 0)), sum({unpacked}), count(*),
max(latest.created_at) FROM (SELECT * FROM products ORDER BY id DESC LIMIT 1000) AS latest
JOIN frames ON frames.id = latest.frame_id WHERE {unpacked} > 0 GROUP BY latest.stage, latest.kind"""
"""The growth begins with the latest products."""
HOLD = """INSERT INTO stocks (node_id, kind, files, bytes)
SELECT node_id, '{kind}', count(*), sum(size) FROM {table} WHERE state = 'held' GROUP BY node_id"""
UNPACKED = {
    "sqlite": "CAST(json_extract(frames.needs, '$.unpacked') AS REAL)",
    "postgresql": "CAST(frames.needs ->> 'unpacked' AS double precision)",
}
COMES = "INSERT INTO stocks (node_id, kind, files, bytes) VALUES (NEW.node_id, '{kind}', 1, NEW.size)"
GOES = "INSERT INTO stocks (node_id, kind, files, bytes) VALUES (OLD.node_id, '{kind}', -1, -OLD.size)"
CHANGED = "(OLD.state, OLD.node_id, OLD.size) IS NOT (NEW.state, NEW.node_id, NEW.size)"
ON_SQLITE = (
    "CREATE TRIGGER {table}_come AFTER INSERT ON {table} WHEN NEW.state = 'held' BEGIN " + COMES + "; END",
    "CREATE TRIGGER {table}_gone AFTER DELETE ON {table} WHEN OLD.state = 'held' BEGIN " + GOES + "; END",
    "CREATE TRIGGER {table}_no_more AFTER UPDATE OF state, node_id, size ON {table} WHEN OLD.state = 'held' "
    "AND " + CHANGED + " BEGIN " + GOES + "; END",
    "CREATE TRIGGER {table}_anew AFTER UPDATE OF state, node_id, size ON {table} WHEN NEW.state = 'held' "
    "AND " + CHANGED + " BEGIN " + COMES + "; END",
)
ON_POSTGRESQL = """CREATE FUNCTION stock_taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'UPDATE' AND (OLD.state, OLD.node_id, OLD.size) IS NOT DISTINCT FROM (NEW.state, NEW.node_id, NEW.size) THEN
  RETURN NULL;
END IF;
IF TG_OP <> 'INSERT' AND OLD.state = 'held' THEN
  INSERT INTO stocks (node_id, kind, files, bytes) VALUES (OLD.node_id, TG_ARGV[0], -1, -OLD.size);
END IF;
IF TG_OP <> 'DELETE' AND NEW.state = 'held' THEN
  INSERT INTO stocks (node_id, kind, files, bytes) VALUES (NEW.node_id, TG_ARGV[0], 1, NEW.size);
END IF;
RETURN NULL; END $$"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.add_column("nodes", sa.Column("disks", sa.JSON(), nullable=True))
    op.create_index("ix_frames_field", "frames", ["object", "id"], sqlite_where=FIELDS, postgresql_where=FIELDS)
    op.create_table(
        "growths",
        sa.Column("instrument", sa.String(length=40), nullable=False),
        sa.Column("stage", sa.String(length=30), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("product_bytes", sa.Double(), nullable=False),
        sa.Column("file_bytes", sa.Double(), nullable=False),
        sa.Column("unpacked_bytes", sa.Double(), nullable=False),
        sa.Column("products", NUMBER, nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("instrument", "stage", "kind", name=op.f("pk_growths")),
    )
    op.create_table(
        "stocks",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("files", NUMBER, nullable=False),
        sa.Column("bytes", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_stocks_node_id_nodes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stocks")),
    )
    op.execute(SEED.format(unpacked=UNPACKED[dialect]))
    if dialect == "postgresql":
        op.execute(ON_POSTGRESQL)
    for table, kind in HELD.items():
        op.execute(HOLD.format(table=table, kind=kind))
        if dialect == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_stocked AFTER INSERT OR DELETE OR UPDATE OF state, node_id, size ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION stock_taken('{kind}')"
            )
        else:
            for statement in ON_SQLITE:
                op.execute(statement.format(table=table, kind=kind))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in HELD:
            op.execute(f"DROP TRIGGER {table}_stocked ON {table}")
        op.execute("DROP FUNCTION stock_taken()")
    else:
        for table in HELD:
            for deed in ("come", "gone", "no_more", "anew"):
                op.execute(f"DROP TRIGGER {table}_{deed}")
    op.drop_table("stocks")
    op.drop_table("growths")
    op.drop_index("ix_frames_field", table_name="frames")
    op.drop_column("nodes", "disks")

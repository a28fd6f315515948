"""The history is sealed stretch by stretch, and the database itself refuses to change or remove what is in it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("events", "seals")
ON_SQLITE = """CREATE TRIGGER {table}_kept_from_{deed} BEFORE {deed} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are only ever added to'); END"""
ON_POSTGRESQL = """CREATE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% are only ever added to', TG_TABLE_NAME; END $$"""


def upgrade() -> None:
    op.create_table(
        "seals",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("after", NUMBER, nullable=False),
        sa.Column("last", NUMBER, nullable=False),
        sa.Column("events", NUMBER, nullable=False),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("late", sa.JSON(), nullable=False),
        sa.Column("awaited", sa.JSON(), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
        sa.UniqueConstraint("before", name=op.f("uq_seals_before")),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ON_POSTGRESQL)
        for table in TABLES:
            op.execute(
                f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION only_added_to()"
            )
    else:
        for table in TABLES:
            for deed in ("UPDATE", "DELETE"):
                op.execute(ON_SQLITE.format(table=table, deed=deed))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"DROP TRIGGER {table}_kept ON {table}")
        op.execute("DROP FUNCTION only_added_to()")
    else:
        for table in TABLES:
            for deed in ("UPDATE", "DELETE"):
                op.execute(f"DROP TRIGGER {table}_kept_from_{deed}")
    op.drop_table("seals")

"""History that is old goes into files: events may go from their table once their archive is known."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ARCHIVED = "EXISTS (SELECT 1 FROM archives WHERE kind = 'events' AND OLD.id <= last AND cleared_at IS NULL)"
ON_SQLITE = """CREATE TRIGGER events_kept_from_DELETE BEFORE DELETE ON events {when}
BEGIN SELECT RAISE(ABORT, 'events are only ever added to'); END"""
KEPT = "CREATE TRIGGER events_kept BEFORE {deeds} ON events FOR EACH ROW EXECUTE FUNCTION {function}()"
ON_POSTGRESQL = f"""CREATE FUNCTION kept_until_archived() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  IF {ARCHIVED} THEN RETURN OLD; END IF;
  RAISE EXCEPTION '% are only ever added to', TG_TABLE_NAME;
END $$"""


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("first", NUMBER, nullable=False),
        sa.Column("last", NUMBER, nullable=False),
        sa.Column("rows", NUMBER, nullable=False),
        sa.Column("begins", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("size", NUMBER, nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archives")),
    )
    op.create_index("ix_archives_kind", "archives", ["kind", "last"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ON_POSTGRESQL)
        op.execute("DROP TRIGGER events_kept ON events")
        op.execute(KEPT.format(deeds="UPDATE", function="only_added_to"))
        removed = KEPT.replace("events_kept", "events_kept_until_archived")
        op.execute(removed.format(deeds="DELETE", function="kept_until_archived"))
    else:
        op.execute("DROP TRIGGER events_kept_from_DELETE")
        op.execute(ON_SQLITE.format(when=f"WHEN NOT {ARCHIVED}"))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER events_kept_until_archived ON events")
        op.execute("DROP FUNCTION kept_until_archived")
        op.execute("DROP TRIGGER events_kept ON events")
        op.execute(KEPT.format(deeds="UPDATE OR DELETE", function="only_added_to"))
    else:
        op.execute("DROP TRIGGER events_kept_from_DELETE")
        op.execute(ON_SQLITE.format(when=""))
    op.drop_index("ix_archives_kind", table_name="archives")
    op.drop_table("archives")

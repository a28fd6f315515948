"""What pages count and sum stands in indexes alone: frames without a catalogue, and the sums of all but single days.

SQLite keeps sums in the order of their key, where those of a level lie together anyway.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NEXT, FEW = "ix_frames_uncatalogued", "ix_tallies_few"
LACKING = sa.text("state = 'weighted' AND catalogued_at IS NULL")
WORDS = ["level", "kind", "current", "runid", "filter", "day", "state"]
SUMS = ["node_id", "frames", "withdrawn", "bytes", "exposure", "received", "received_bytes"]


def upgrade() -> None:
    _anew(["kind", "current", "id"])
    if op.get_bind().dialect.name == "postgresql":
        where = sa.text("level NOT IN ('day', 'node-date')")
        op.create_index(FEW, "tallies", WORDS, unique=False, postgresql_where=where, postgresql_include=SUMS)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index(FEW, table_name="tallies")
    _anew(["id"])


def _anew(columns: list[str]) -> None:
    op.drop_index(NEXT, table_name="frames")
    op.create_index(NEXT, "frames", columns, unique=False, sqlite_where=LACKING, postgresql_where=LACKING)

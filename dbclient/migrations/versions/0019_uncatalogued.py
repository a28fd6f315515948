"""Frames without a catalogue are counted in their index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INDEX = "ix_frames_uncatalogued"
LACKING = sa.text("state = 'weighted' AND catalogued_at IS NULL")


def upgrade() -> None:
    _anew(["kind", "current", "id"])


def downgrade() -> None:
    _anew(["id"])


def _anew(columns: list[str]) -> None:
    op.drop_index(INDEX, table_name="frames")
    op.create_index(INDEX, "frames", columns, unique=False, sqlite_where=LACKING, postgresql_where=LACKING)

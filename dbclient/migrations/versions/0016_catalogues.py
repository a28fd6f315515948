"""Frames tell when their catalogue and PSF were made."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("frames", sa.Column("catalogued_at", sa.DateTime(timezone=True), nullable=True))
    lacking = sa.text("state = 'weighted' AND catalogued_at IS NULL")
    op.create_index(
        "ix_frames_uncatalogued", "frames", ["id"], unique=False, sqlite_where=lacking, postgresql_where=lacking
    )


def downgrade() -> None:
    op.drop_index("ix_frames_uncatalogued", table_name="frames")
    op.drop_column("frames", "catalogued_at")

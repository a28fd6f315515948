"""Frames are taken in the order of their states; only those with a priority have an index of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_frames_due", table_name="frames")
    urgent = sa.text("priority <> 0")
    columns = ["state", "priority", "id"]
    op.create_index("ix_frames_urgent", "frames", columns, unique=False, sqlite_where=urgent, postgresql_where=urgent)


def downgrade() -> None:
    op.drop_index("ix_frames_urgent", table_name="frames")
    op.create_index("ix_frames_due", "frames", ["state", "priority", "id"], unique=False)

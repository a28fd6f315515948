"""The newest frames are found by their states: an index less that each of a million new rows is written into."""

from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_frames_newest", table_name="frames")


def downgrade() -> None:
    op.create_index("ix_frames_newest", "frames", ["kind", "current", "id"], unique=False)

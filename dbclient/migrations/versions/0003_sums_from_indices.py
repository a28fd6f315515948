"""What a page sums over 100 000 frames is read from indices alone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WAITS = sa.text("retry_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_frames_runs", table_name="frames")
    runs = ["kind", "current", "runid", "state", "filter", "size", "withdrawn_at"]
    op.create_index("ix_frames_runs", "frames", runs, unique=False)
    waiting = ["retry_at", "id", "state"]
    op.create_index("ix_frames_waiting", "frames", waiting, sqlite_where=WAITS, postgresql_where=WAITS)
    op.drop_index("ix_transfers_ended", table_name="transfers")
    op.create_index("ix_transfers_ended", "transfers", ["kind", "state", "ended_at", "bytes_done"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_transfers_ended", table_name="transfers")
    op.create_index("ix_transfers_ended", "transfers", ["kind", "state", "ended_at"], unique=False)
    op.drop_index("ix_frames_waiting", table_name="frames")
    op.drop_index("ix_frames_runs", table_name="frames")
    op.create_index("ix_frames_runs", "frames", ["kind", "current", "runid", "filter", "state", "size"], unique=False)

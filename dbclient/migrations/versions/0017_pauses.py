"""A transfer can be paused, and goes on behind the bytes that were kept."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COLUMNS = (
    ("paused_at", sa.DateTime(timezone=True)),
    ("paused_by", sa.String(length=60)),
    ("paused_because", sa.String(length=200)),
    ("kept", NUMBER),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("transfers", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name, _ in reversed(COLUMNS):
        op.drop_column("transfers", name)

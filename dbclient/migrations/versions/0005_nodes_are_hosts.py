"""Nodes are hosts: the address of the agent that answers for a node on another host."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("address", sa.String(length=200), nullable=True))


def downgrade() -> None:
    op.drop_column("nodes", "address")

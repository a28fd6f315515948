"""How full each node was is kept, a row a day."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0008"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fillings",
        sa.Column("node_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("used", NUMBER, nullable=False),
        sa.Column("free", NUMBER, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_fillings_node_id_nodes")),
        sa.PrimaryKeyConstraint("node_id", "day", name=op.f("pk_fillings")),
    )


def downgrade() -> None:
    op.drop_table("fillings")

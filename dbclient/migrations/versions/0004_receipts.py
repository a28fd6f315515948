"""What each follower says that it holds: a file goes when all have it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("publication_id", NUMBER, nullable=False),
        sa.Column("follower", sa.String(length=60), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("wire_digest", sa.String(length=80), nullable=True),
        sa.Column("pixel_digest", sa.String(length=80), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["publication_id"], ["publications.id"], name=op.f("fk_receipts_publication_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("publication_id", "follower", name=op.f("uq_receipts_publication_id_follower")),
    )


def downgrade() -> None:
    op.drop_table("receipts")

"""What nodes hold is read again: products remember when they were compared, and what was read longest ago is found."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE products SET verified_at = created_at")
    with op.batch_alter_table("products") as products:
        products.alter_column("verified_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    for table in ("products", "replicas"):
        op.create_index(f"ix_{table}_verified", table, ["node_id", "state", "verified_at"], unique=False)


def downgrade() -> None:
    for table in ("replicas", "products"):
        op.drop_index(f"ix_{table}_verified", table_name=table)
    with op.batch_alter_table("products") as products:
        products.drop_column("verified_at")

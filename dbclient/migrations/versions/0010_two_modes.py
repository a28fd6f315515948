"""Automatic and immediate mode with their countdowns, rules, lanes and origins of transfers, instruments of frames."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "modes",
        sa.Column("name", sa.String(length=10), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("every", sa.Double(), nullable=True),
        sa.Column("ran_at", MOMENT, nullable=True),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.Column("said", sa.String(), nullable=True),
        sa.Column("changed_by", sa.String(length=60), nullable=True),
        sa.Column("changed_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_modes")),
    )
    op.create_table(
        "rules",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("runid", sa.String(length=40), nullable=False),
        sa.Column("filter", sa.String(length=40), nullable=False),
        sa.Column("instrument", sa.String(length=40), nullable=False),
        sa.Column("program", sa.String(length=40), nullable=False),
        sa.Column("priority", NUMBER, nullable=False),
        sa.Column("policy", sa.String(length=12), nullable=True),
        sa.Column("node", sa.String(length=32), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.String(length=200), nullable=False),
        sa.Column("changed_by", sa.String(length=60), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
    )
    op.add_column("frames", sa.Column("instrument", sa.String(length=40), nullable=True))
    op.add_column("transfers", sa.Column("mode", sa.String(length=10), nullable=True))
    op.add_column("transfers", sa.Column("priority", NUMBER, server_default=sa.text("0"), nullable=False))
    # in SQL, since SQLite takes a constraint on a new column only together with it
    number = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    named = "CONSTRAINT fk_transfers_origin_id REFERENCES nodes (id)"
    op.execute(f"ALTER TABLE transfers ADD COLUMN origin_id {number} {named}")


def downgrade() -> None:
    for column in ("origin_id", "priority", "mode"):
        op.drop_column("transfers", column)
    op.drop_column("frames", "instrument")
    op.drop_table("rules")
    op.drop_table("modes")

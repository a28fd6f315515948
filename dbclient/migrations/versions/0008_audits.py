"""Audits keep what they found, and nodes since when they are in their state."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0009"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("nodes", sa.Column("since", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE nodes SET since = seen_at WHERE state <> 'up'")
    op.create_table(
        "audits",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("node", sa.String(length=32), nullable=True),
        sa.Column("runid", sa.String(length=20), nullable=True),
        sa.Column("repair", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("files", NUMBER, nullable=False),
        sa.Column("bytes", NUMBER, nullable=False),
        sa.Column("found", NUMBER, nullable=False),
        sa.Column("repaired", NUMBER, nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audits")),
    )
    op.create_table(
        "audit_findings",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("audit_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("node_id", NUMBER, nullable=True),
        sa.Column("frame_id", NUMBER, nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["audit_id"], ["audits.id"], name=op.f("fk_audit_findings_audit_id")),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_audit_findings_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_audit_findings_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_findings")),
    )
    op.create_index("ix_audit_findings_audit_id", "audit_findings", ["audit_id", "kind", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_audit_findings_audit_id", table_name="audit_findings")
    op.drop_table("audit_findings")
    op.drop_table("audits")
    op.drop_column("nodes", "since")

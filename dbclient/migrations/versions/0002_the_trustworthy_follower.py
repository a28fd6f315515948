"""What a trustworthy follower keeps: breakers, differences, publications, wishes, and more of each frame."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "configurations",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("daemon", sa.String(length=60), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("comment", sa.String(length=200), nullable=False),
        sa.Column("saved_by", sa.String(length=60), nullable=False),
        sa.Column("saved_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configurations")),
    )
    op.create_index("ix_configurations_daemon", "configurations", ["daemon", "id"], unique=False)
    op.create_table(
        "controls",
        sa.Column("daemon", sa.String(length=60), nullable=False),
        sa.Column("wish", sa.String(length=4), nullable=False),
        sa.Column("reload_at", MOMENT, nullable=True),
        sa.Column("changed_by", sa.String(length=60), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("daemon", name=op.f("pk_controls")),
    )
    op.create_table(
        "differences",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("archive", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("listed", NUMBER, nullable=False),
        sa.Column("missed", NUMBER, nullable=False),
        sa.Column("changed", NUMBER, nullable=False),
        sa.Column("withdrawn", NUMBER, nullable=False),
        sa.Column("returned", NUMBER, nullable=False),
        sa.Column("lost", NUMBER, nullable=False),
        sa.Column("strange", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_differences")),
    )
    op.create_index("ix_differences_archive", "differences", ["archive", "id"], unique=False)
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("failures", NUMBER, nullable=False),
        sa.Column("rests", NUMBER, nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hosts")),
    )
    op.create_table(
        "publications",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("generation", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("product_id", NUMBER, nullable=True),
        sa.Column("frame_id", NUMBER, nullable=True),
        sa.Column("runid", sa.String(length=20), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("disk", sa.String(length=32), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("size", NUMBER, nullable=True),
        sa.Column("wire_digest", sa.String(length=80), nullable=True),
        sa.Column("pixel_digest", sa.String(length=80), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("offered_at", MOMENT, nullable=True),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", sa.String(length=60), nullable=True),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_publications_frame_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_publications_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publications")),
        sa.UniqueConstraint("name", "generation", name=op.f("uq_publications_name_generation")),
    )
    op.create_index(op.f("ix_publications_product_id"), "publications", ["product_id"], unique=False)
    op.create_index("ix_publications_state", "publications", ["state", "id"], unique=False)
    op.add_column("frames", sa.Column("cause", sa.String(length=20), nullable=True))
    op.add_column("frames", sa.Column("processed_at", MOMENT, nullable=True))
    op.add_column("frames", sa.Column("elixir_version", sa.String(length=20), nullable=True))
    op.add_column("frames", sa.Column("offered", NUMBER, nullable=True))
    op.add_column("frames", sa.Column("withdrawn_at", MOMENT, nullable=True))
    op.add_column("frames", sa.Column("disk", sa.String(length=32), nullable=True))
    op.add_column("frames", sa.Column("acknowledged_at", MOMENT, nullable=True))
    op.create_index("ix_frames_release", "frames", ["kind", "current", "release"], unique=False)
    op.add_column("transfers", sa.Column("headers", sa.JSON(), nullable=True))
    op.create_index("ix_transfers_ended", "transfers", ["kind", "state", "ended_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_transfers_ended", table_name="transfers")
    op.drop_column("transfers", "headers")
    op.drop_index("ix_frames_release", table_name="frames")
    op.drop_column("frames", "acknowledged_at")
    op.drop_column("frames", "disk")
    op.drop_column("frames", "withdrawn_at")
    op.drop_column("frames", "offered")
    op.drop_column("frames", "elixir_version")
    op.drop_column("frames", "processed_at")
    op.drop_column("frames", "cause")
    op.drop_index("ix_publications_state", table_name="publications")
    op.drop_index(op.f("ix_publications_product_id"), table_name="publications")
    op.drop_table("publications")
    op.drop_table("hosts")
    op.drop_index("ix_differences_archive", table_name="differences")
    op.drop_table("differences")
    op.drop_table("controls")
    op.drop_index("ix_configurations_daemon", table_name="configurations")
    op.drop_table("configurations")

"""The first night."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "bookmarks",
        sa.Column("archive", sa.String(length=120), nullable=False),
        sa.Column("reached", MOMENT, nullable=False),
        sa.Column("looked_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("archive", name=op.f("pk_bookmarks")),
    )
    op.create_table(
        "daemons",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("host", sa.String(length=120), nullable=False),
        sa.Column("pid", NUMBER, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("beat_at", MOMENT, nullable=False),
        sa.Column("figures", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_daemons")),
    )
    op.create_table(
        "frames",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column(
            "name", sa.String(length=80).with_variant(sa.String(length=80, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("generation", NUMBER, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("priority", NUMBER, nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("archive_modified", MOMENT, nullable=True),
        sa.Column("release", MOMENT, nullable=True),
        sa.Column("size", NUMBER, nullable=True),
        sa.Column("wire_digest", sa.String(length=80), nullable=True),
        sa.Column("pixel_digest", sa.String(length=80), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("runid", sa.String(length=20), nullable=True),
        sa.Column("crunid", sa.String(length=20), nullable=True),
        sa.Column("qrunid", sa.String(length=20), nullable=True),
        sa.Column("object", sa.String(length=80), nullable=True),
        sa.Column("filter", sa.String(length=40), nullable=True),
        sa.Column("exposure_time", sa.Double(), nullable=True),
        sa.Column("airmass", sa.Double(), nullable=True),
        sa.Column("observed_at", MOMENT, nullable=True),
        sa.Column("ra", sa.Double(), nullable=True),
        sa.Column("dec", sa.Double(), nullable=True),
        sa.Column("corners", sa.JSON(), nullable=True),
        sa.Column("ccds", NUMBER, nullable=True),
        sa.Column("flat", sa.String(length=80), nullable=True),
        sa.Column("mask", sa.String(length=80), nullable=True),
        sa.Column("elixir", sa.JSON(), nullable=True),
        sa.Column("needs", sa.JSON(), nullable=True),
        sa.Column("spotted_at", MOMENT, nullable=False),
        sa.Column("fetched_at", MOMENT, nullable=True),
        sa.Column("valid_at", MOMENT, nullable=True),
        sa.Column("placed_at", MOMENT, nullable=True),
        sa.Column("weighted_at", MOMENT, nullable=True),
        sa.Column("supersedes", NUMBER, nullable=True),
        sa.ForeignKeyConstraint(["supersedes"], ["frames.id"], name=op.f("fk_frames_supersedes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frames")),
        sa.UniqueConstraint("name", "generation", name=op.f("uq_frames_name_generation")),
    )
    op.create_index("ix_frames_due", "frames", ["state", "priority", "id"], unique=False)
    op.create_index("ix_frames_runs", "frames", ["kind", "current", "runid", "filter", "state", "size"], unique=False)
    op.create_index("ix_frames_run", "frames", ["kind", "current", "runid", "id"], unique=False)
    op.create_index("ix_frames_newest", "frames", ["kind", "current", "id"], unique=False)
    op.create_index("ix_frames_states", "frames", ["kind", "current", "state", "id"], unique=False)
    op.create_table(
        "login_failures",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_failures")),
    )
    op.create_index(op.f("ix_login_failures_address"), "login_failures", ["address"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("directory", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("capacity", NUMBER, nullable=False),
        sa.Column("used", NUMBER, nullable=False),
        sa.Column("free", NUMBER, nullable=False),
        sa.Column("reserve", NUMBER, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_nodes_name")),
    )
    op.create_table(
        "requests",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_state_kind", "requests", ["state", "kind"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("frame_id", NUMBER, nullable=True),
        sa.Column("node_id", NUMBER, nullable=True),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_events_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_events_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_frame_id"), "events", ["frame_id"], unique=False)
    op.create_index("ix_events_level_id", "events", ["level", "id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("frame_id", NUMBER, nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("stage", sa.String(length=30), nullable=False),
        sa.Column("recipe", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("worker", sa.String(length=120), nullable=True),
        sa.Column("claim", sa.String(length=40), nullable=True),
        sa.Column("done_share", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("beat_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_jobs_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_jobs_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("frame_id", "stage", "recipe", name=op.f("uq_jobs_frame_id_stage_recipe")),
    )
    op.create_index("ix_jobs_stage_recipe", "jobs", ["stage", "recipe"], unique=False)
    op.create_index("ix_jobs_state_retry_at", "jobs", ["state", "retry_at"], unique=False)
    op.create_table(
        "leases",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("frame_id", NUMBER, nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("frame_bytes", NUMBER, nullable=False),
        sa.Column("product_bytes", NUMBER, nullable=False),
        sa.Column("scratch_bytes", NUMBER, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_leases_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_leases_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
    )
    op.create_index("ix_leases_ended_at_node_id", "leases", ["ended_at", "node_id"], unique=False)
    op.create_index(op.f("ix_leases_frame_id"), "leases", ["frame_id"], unique=False)
    op.create_table(
        "login_sessions",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_login_sessions_account_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_sessions")),
    )
    op.create_table(
        "replicas",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("frame_id", NUMBER, nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", NUMBER, nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("verified_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_replicas_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_replicas_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
        sa.UniqueConstraint("frame_id", "node_id", name=op.f("uq_replicas_frame_id_node_id")),
    )
    op.create_index("ix_replicas_held", "replicas", ["node_id", "state", "frame_id", "size"], unique=False)
    op.create_table(
        "transfers",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("frame_id", NUMBER, nullable=False),
        sa.Column("node_id", NUMBER, nullable=True),
        sa.Column("kind", sa.String(length=6), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("bytes_total", NUMBER, nullable=True),
        sa.Column("bytes_done", NUMBER, nullable=False),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_transfers_frame_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_transfers_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
    )
    op.create_index(op.f("ix_transfers_frame_id"), "transfers", ["frame_id"], unique=False)
    op.create_index("ix_transfers_state_kind", "transfers", ["state", "kind"], unique=False)
    op.create_table(
        "products",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("frame_id", NUMBER, nullable=False),
        sa.Column("job_id", NUMBER, nullable=False),
        sa.Column("node_id", NUMBER, nullable=False),
        sa.Column("stage", sa.String(length=30), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", NUMBER, nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["frame_id"], ["frames.id"], name=op.f("fk_products_frame_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_products_job_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_products_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("job_id", "kind", name=op.f("uq_products_job_id_kind")),
    )
    op.create_index(op.f("ix_products_frame_id"), "products", ["frame_id"], unique=False)
    op.create_index("ix_products_held", "products", ["node_id", "state", "size"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_products_held", table_name="products")
    op.drop_index(op.f("ix_products_frame_id"), table_name="products")
    op.drop_table("products")
    op.drop_index("ix_transfers_state_kind", table_name="transfers")
    op.drop_index(op.f("ix_transfers_frame_id"), table_name="transfers")
    op.drop_table("transfers")
    op.drop_index("ix_replicas_held", table_name="replicas")
    op.drop_table("replicas")
    op.drop_table("login_sessions")
    op.drop_index(op.f("ix_leases_frame_id"), table_name="leases")
    op.drop_index("ix_leases_ended_at_node_id", table_name="leases")
    op.drop_table("leases")
    op.drop_index("ix_jobs_state_retry_at", table_name="jobs")
    op.drop_index("ix_jobs_stage_recipe", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index("ix_events_level_id", table_name="events")
    op.drop_index(op.f("ix_events_frame_id"), table_name="events")
    op.drop_table("events")
    op.drop_index("ix_requests_state_kind", table_name="requests")
    op.drop_table("requests")
    op.drop_table("nodes")
    op.drop_index(op.f("ix_login_failures_address"), table_name="login_failures")
    op.drop_table("login_failures")
    op.drop_index("ix_frames_states", table_name="frames")
    op.drop_index("ix_frames_newest", table_name="frames")
    op.drop_index("ix_frames_run", table_name="frames")
    op.drop_index("ix_frames_runs", table_name="frames")
    op.drop_index("ix_frames_due", table_name="frames")
    op.drop_table("frames")
    op.drop_table("daemons")
    op.drop_table("bookmarks")
    op.drop_table("accounts")

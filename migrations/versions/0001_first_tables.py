"""First tables.

A voice and its consent refer to each other. SQLite takes such a foreign key with the table and knows no other way;
PostgreSQL takes it once both tables are there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

CONSENT_IN_FORCE = sa.ForeignKeyConstraint(
    ["consent_id", "consent_in_force"], ["consent.id", "consent.in_force"], name="fk_voice_consent_in_force"
)


def upgrade() -> None:
    """Apply."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "customer",
                "moderator",
                "senior",
                "operator",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("plan", sa.String(length=24), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "active",
                "restricted",
                "suspended",
                "banned",
                name="standing",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("password_is_temporary", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state != 'suspended' OR suspended_until IS NOT NULL", name=op.f("ck_account_suspended_until_when")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("email", name="uq_account_email"),
        sa.UniqueConstraint("public_id", name="uq_account_public_id"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("before", sa.String(length=32), nullable=True),
        sa.Column("after", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_action", "audit_entry", ["action"], unique=False)
    op.create_index("ix_audit_entry_actor_kind_actor_id", "audit_entry", ["actor_kind", "actor_id"], unique=False)
    op.create_index(
        "ix_audit_entry_subject_kind_subject_id", "audit_entry", ["subject_kind", "subject_id"], unique=False
    )
    op.create_table(
        "failed_login",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("who_digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failed_login"),
    )
    op.create_index("ix_failed_login_who_digest_at", "failed_login", ["who_digest", "at"], unique=False)
    op.create_table(
        "outbox_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_message"),
    )
    op.create_index("ix_outbox_message_sent_at_id", "outbox_message", ["sent_at", "id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("prefix", sa.String(length=12), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_api_key_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("key_digest", name="uq_api_key_key_digest"),
    )
    op.create_index("ix_api_key_account_id", "api_key", ["account_id"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "intake",
                "consent",
                "clone",
                "speak",
                "trace",
                name="jobkind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                "cancelled",
                "refused",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.String(length=80), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("step", sa.String(length=80), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state != 'running' OR lease_until IS NOT NULL", name=op.f("ck_job_running_has_lease")),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_job_progress_is_share")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_job_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index("ix_job_account_id_state", "job", ["account_id", "state"], unique=False)
    op.create_index("ix_job_claim", "job", ["queue", "state", "priority", "id"], unique=False)
    op.create_index("ix_job_subject_id", "job", ["subject_id"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_login_session_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_login_session"),
        sa.UniqueConstraint("token_digest", name="uq_login_session_token_digest"),
    )
    op.create_index("ix_login_session_account_id", "login_session", ["account_id"], unique=False)
    op.create_table(
        "voice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("stock_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(length=12), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "cloning",
                "ready",
                "failed",
                "disabled",
                "deleted",
                name="voicestate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("consent_id", sa.Uuid(), nullable=True),
        sa.Column("consent_in_force", sa.Boolean(), nullable=True),
        sa.Column("engine", sa.String(length=40), nullable=True),
        sa.Column("artefact_key", sa.String(length=120), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state != 'ready' OR artefact_key IS NOT NULL", name=op.f("ck_voice_ready_has_artefact")),
        sa.CheckConstraint(
            "stock_id IS NOT NULL OR state NOT IN ('cloning', 'ready')"
            " OR (consent_id IS NOT NULL AND consent_in_force IS TRUE)",
            name=op.f("ck_voice_speaks_only_with_consent"),
        ),
        sa.CheckConstraint("(account_id IS NULL) = (stock_id IS NOT NULL)", name=op.f("ck_voice_owned_or_stock")),
        sa.CheckConstraint(
            "consent_in_force IS NULL OR consent_in_force IS TRUE", name=op.f("ck_voice_consent_in_force_or_null")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_voice_account_id"),
        *([CONSENT_IN_FORCE] if sqlite else []),
        sa.PrimaryKeyConstraint("id", name="pk_voice"),
        sa.UniqueConstraint("public_id", name="uq_voice_public_id"),
        sa.UniqueConstraint("stock_id", name="uq_voice_stock_id"),
    )
    op.create_index("ix_voice_account_id_state", "voice", ["account_id", "state"], unique=False)
    op.create_table(
        "clip",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("voice_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=12), nullable=False),
        sa.Column("output_format", sa.String(length=24), nullable=False),
        sa.Column("speed", sa.Double(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_clip_account_id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_clip_job_id"),
        sa.ForeignKeyConstraint(["voice_id"], ["voice.id"], name="fk_clip_voice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_clip"),
        sa.UniqueConstraint("job_id", name="uq_clip_job_id"),
        sa.UniqueConstraint("public_id", name="uq_clip_public_id"),
    )
    op.create_index("ix_clip_account_id_id", "clip", ["account_id", "id"], unique=False)
    op.create_table(
        "sample",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("voice_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "checking",
                "accepted",
                "rejected",
                name="samplestate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("speech_seconds", sa.Double(), nullable=True),
        sa.Column("peaks", sa.JSON(), nullable=False),
        sa.Column("audio_key", sa.String(length=120), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["voice_id"], ["voice.id"], name="fk_sample_voice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sample"),
    )
    op.create_index("ix_sample_voice_id", "sample", ["voice_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("voice_id", sa.Uuid(), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "checking",
                "verified",
                "failed",
                "in_review",
                "refused",
                "revoked",
                name="consentstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("speaker_name", sa.String(length=120), nullable=False),
        sa.Column("language", sa.String(length=12), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("challenge", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recording_key", sa.String(length=120), nullable=True),
        sa.Column("recording_size", sa.Integer(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("peaks", sa.JSON(), nullable=False),
        sa.Column("audio_key", sa.String(length=120), nullable=True),
        sa.Column("transcript", sa.Text(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(in_force IS TRUE) = (state = 'verified')", name=op.f("ck_consent_in_force_when_verified")),
        sa.CheckConstraint(
            "in_force IS NOT TRUE OR sample_id IS NOT NULL", name=op.f("ck_consent_in_force_for_a_sample")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["account.id"], name="fk_consent_decided_by"),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_consent_sample_id"),
        sa.ForeignKeyConstraint(["voice_id"], ["voice.id"], name="fk_consent_voice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
        sa.UniqueConstraint("id", "in_force", name="uq_consent_id_in_force"),
        sa.UniqueConstraint("public_id", name="uq_consent_public_id"),
    )
    op.create_index("ix_consent_state", "consent", ["state"], unique=False)
    op.create_index("ix_consent_voice_id", "consent", ["voice_id"], unique=False)
    op.create_table(
        "usage_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("characters >= 0", name=op.f("ck_usage_entry_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_usage_entry_account_id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_usage_entry_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_usage_entry"),
        sa.UniqueConstraint("job_id", "kind", name="uq_usage_entry_job_id_kind"),
    )
    op.create_index("ix_usage_entry_account_id_at", "usage_entry", ["account_id", "at"], unique=False)
    op.create_table(
        "generation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_ref", sa.String(length=24), nullable=False),
        sa.Column("clip_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("voice_id", sa.Uuid(), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=True),
        sa.Column("tag", sa.LargeBinary(length=16), nullable=False),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("text_salt", sa.String(length=43), nullable=False),
        sa.Column("text_digest", sa.String(length=64), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("engine", sa.String(length=60), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_generation_account_id"),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_generation_clip_id"),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name="fk_generation_consent_id"),
        sa.ForeignKeyConstraint(["voice_id"], ["voice.id"], name="fk_generation_voice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_generation"),
        sa.UniqueConstraint("clip_id", name="uq_generation_clip_id"),
        sa.UniqueConstraint("public_ref", name="uq_generation_public_ref"),
        sa.UniqueConstraint("tag", name="uq_generation_tag"),
    )
    op.create_index("ix_generation_account_id", "generation", ["account_id"], unique=False)
    op.create_index("ix_generation_voice_id", "generation", ["voice_id"], unique=False)
    op.create_table(
        "sample_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("storage_key", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_sample_file_sample_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sample_file"),
        sa.UniqueConstraint("public_id", name="uq_sample_file_public_id"),
        sa.UniqueConstraint("sample_id", "position", name="uq_sample_file_sample_id_position"),
    )
    op.create_table(
        "stamp",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("output_format", sa.String(length=24), nullable=False),
        sa.Column("storage_key", sa.String(length=120), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("peaks", sa.JSON(), nullable=False),
        sa.Column("mark_score", sa.Double(), nullable=False),
        sa.Column("mark_strength_db", sa.Double(), nullable=False),
        sa.Column("traceable", sa.Boolean(), nullable=False),
        sa.Column("credentials", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mark_score > 0", name=op.f("ck_stamp_mark_was_read_back")),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], name="fk_stamp_generation_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stamp"),
        sa.UniqueConstraint("generation_id", name="uq_stamp_generation_id"),
        sa.UniqueConstraint("storage_key", name="uq_stamp_storage_key"),
    )
    op.create_index("ix_stamp_sha256", "stamp", ["sha256"], unique=False)
    op.create_table(
        "trace_query",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "answered",
                "failed",
                name="tracestate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_digest", sa.String(length=64), nullable=False),
        sa.Column("storage_key", sa.String(length=120), nullable=False),
        sa.Column("audio_key", sa.String(length=120), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("peaks", sa.JSON(), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(
                "confirmed",
                "strong",
                "lead",
                "ambiguous",
                "no_evidence",
                name="verdict",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("generation_id", sa.Uuid(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("false_match_rate", sa.Double(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "generation_id IS NULL OR (verdict IS NOT NULL AND verdict IN ('confirmed', 'strong'))",
            name=op.f("ck_trace_query_names_only_when_sure"),
        ),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], name="fk_trace_query_generation_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trace_query"),
        sa.UniqueConstraint("public_id", name="uq_trace_query_public_id"),
    )
    op.create_index("ix_trace_query_created_at", "trace_query", ["created_at"], unique=False)
    if not sqlite:
        op.create_foreign_key(
            "fk_voice_consent_in_force",
            "voice",
            "consent",
            ["consent_id", "consent_in_force"],
            ["id", "in_force"],
        )


def downgrade() -> None:
    """Take back."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("fk_voice_consent_in_force", "voice")
    else:  # SQLite drops no table that rows still point to
        op.execute("UPDATE voice SET state = 'disabled', consent_in_force = NULL WHERE consent_in_force")
    op.drop_index("ix_trace_query_created_at", table_name="trace_query")
    op.drop_table("trace_query")
    op.drop_index("ix_stamp_sha256", table_name="stamp")
    op.drop_table("stamp")
    op.drop_table("sample_file")
    op.drop_index("ix_generation_voice_id", table_name="generation")
    op.drop_index("ix_generation_account_id", table_name="generation")
    op.drop_table("generation")
    op.drop_index("ix_usage_entry_account_id_at", table_name="usage_entry")
    op.drop_table("usage_entry")
    op.drop_index("ix_consent_voice_id", table_name="consent")
    op.drop_index("ix_consent_state", table_name="consent")
    op.drop_table("consent")
    op.drop_index("ix_sample_voice_id", table_name="sample")
    op.drop_table("sample")
    op.drop_index("ix_clip_account_id_id", table_name="clip")
    op.drop_table("clip")
    op.drop_index("ix_voice_account_id_state", table_name="voice")
    op.drop_table("voice")
    op.drop_index("ix_login_session_account_id", table_name="login_session")
    op.drop_table("login_session")
    op.drop_index("ix_job_subject_id", table_name="job")
    op.drop_index("ix_job_claim", table_name="job")
    op.drop_index("ix_job_account_id_state", table_name="job")
    op.drop_table("job")
    op.drop_index("ix_api_key_account_id", table_name="api_key")
    op.drop_table("api_key")
    op.drop_index("ix_outbox_message_sent_at_id", table_name="outbox_message")
    op.drop_table("outbox_message")
    op.drop_index("ix_failed_login_who_digest_at", table_name="failed_login")
    op.drop_table("failed_login")
    op.drop_index("ix_audit_entry_subject_kind_subject_id", table_name="audit_entry")
    op.drop_index("ix_audit_entry_actor_kind_actor_id", table_name="audit_entry")
    op.drop_index("ix_audit_entry_action", table_name="audit_entry")
    op.drop_table("audit_entry")
    op.drop_table("account")

"""Paid, verified accounts: what sign-up, second factors, keys, subscriptions, identity and data requests need."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Plain ALTER TABLE, not Alembic's batch mode: rebuilding a table on SQLite would lose the guards of 0002. A constraint
# of the column travels with it, and goes with it.
COLUMNS = {
    "account": {
        "email_verified_at": "{moment}",
        "recheck_by": "{moment}",
        "closing_at": "{moment}",
        "erased_at": "{moment}",
    },
    "api_key": {
        "scopes": 'JSON NOT NULL DEFAULT \'["read", "speak", "voices"]\'',
        "character_cap": "INTEGER CONSTRAINT ck_api_key_cap_is_positive"
        " CHECK (character_cap IS NULL OR character_cap > 0)",
        "allowed_networks": "JSON NOT NULL DEFAULT '[]'",
        "expires_at": "{moment}",
        "last_address": "VARCHAR(64)",
        "ended_for": "VARCHAR(24) CONSTRAINT ck_api_key_keyend CHECK (ended_for IN ('revoked', 'rotated', 'leaked'))",
    },
    "job": {"verdict": "JSON NOT NULL DEFAULT '{{}}'"},
    "login_session": {
        "second_factor": "BOOLEAN NOT NULL DEFAULT FALSE",
        "confirmed_at": "{moment} NOT NULL DEFAULT '1970-01-01 00:00:00'",
        "seen_at": "{moment} NOT NULL DEFAULT '1970-01-01 00:00:00'",
    },
    "voice": {
        "disabled_for": "VARCHAR(24) CONSTRAINT ck_voice_disabledfor"
        " CHECK (disabled_for IN ('consent', 'plan', 'decision'))",
    },
}
TABLES = (
    "errand",
    "sandbox_object",
    "billing_customer",
    "card_seen",
    "data_export",
    "erasure",
    "known_browser",
    "legal_hold",
    "login_event",
    "one_time_token",
    "passkey",
    "recovery_code",
    "signal",
    "subscription",
    "totp_factor",
    "verification",
)


def upgrade() -> None:
    """Add columns and tables."""
    moment = "TIMESTAMP WITH TIME ZONE" if op.get_bind().dialect.name == "postgresql" else "DATETIME"
    for table, columns in COLUMNS.items():
        for name, kind in columns.items():
            op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind.format(moment=moment)}")
    op.execute("UPDATE login_session SET confirmed_at = created_at, seen_at = created_at")
    op.execute("UPDATE api_key SET ended_for = 'revoked' WHERE revoked_at IS NOT NULL")
    # Keys of staff go on doing what they did.
    op.execute(
        'UPDATE api_key SET scopes = \'["read", "speak", "voices", "moderate"]\' WHERE account_id IN'
        " (SELECT id FROM account WHERE role IN ('moderator', 'senior', 'operator'))"
    )
    op.execute("UPDATE voice SET disabled_for = 'consent' WHERE state = 'disabled'")
    # Until now accounts were made by the operator, who knew the address.
    op.execute("UPDATE account SET email_verified_at = created_at")
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "errand",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_errand"),
        sa.UniqueConstraint("key", name="uq_errand_key"),
    )
    op.create_index("ix_errand_due", "errand", ["done_at", "due_at"], unique=False)
    op.create_index("ix_errand_owner_id", "errand", ["owner_id"], unique=False)
    op.create_table(
        "sandbox_object",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sandbox_object"),
    )
    op.create_index("ix_sandbox_object_kind", "sandbox_object", ["kind"], unique=False)
    op.create_table(
        "billing_customer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=120), nullable=False),
        sa.Column("card_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_billing_customer_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_billing_customer"),
        sa.UniqueConstraint("account_id", name="uq_billing_customer_account_id"),
        sa.UniqueConstraint("external_id", name="uq_billing_customer_external_id"),
    )
    op.create_index("ix_billing_customer_card_fingerprint", "billing_customer", ["card_fingerprint"], unique=False)
    op.create_table(
        "card_seen",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_card_seen_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_card_seen"),
        sa.UniqueConstraint("account_id", "fingerprint", name="uq_card_seen_account_id_fingerprint"),
    )
    op.create_index("ix_card_seen_fingerprint", "card_seen", ["fingerprint"], unique=False)
    op.create_table(
        "data_export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "ready",
                "failed",
                "expired",
                name="exportstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("storage_key", sa.String(length=120), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("files", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state != 'ready' OR storage_key IS NOT NULL", name=op.f("ck_data_export_ready_has_archive")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_data_export_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_data_export"),
        sa.UniqueConstraint("public_id", name="uq_data_export_public_id"),
    )
    op.create_index("ix_data_export_account_id", "data_export", ["account_id"], unique=False)
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_erasure_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_erasure"),
        sa.UniqueConstraint("account_id", name="uq_erasure_account_id"),
    )
    op.create_table(
        "known_browser",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_known_browser_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_known_browser"),
        sa.UniqueConstraint("token_digest", name="uq_known_browser_token_digest"),
    )
    op.create_index("ix_known_browser_account_id", "known_browser", ["account_id"], unique=False)
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_legal_hold_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_legal_hold"),
    )
    op.create_index("ix_legal_hold_account_id", "legal_hold", ["account_id"], unique=False)
    op.create_table(
        "login_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "signed_in",
                "wrong_password",
                "wrong_code",
                "password_reset",
                name="loginoutcome",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("means", sa.String(length=24), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_login_event_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_login_event"),
    )
    op.create_index("ix_login_event_account_id_at", "login_event", ["account_id", "at"], unique=False)
    op.create_table(
        "one_time_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column(
            "purpose",
            sa.Enum(
                "verify_email",
                "change_email",
                "reset_password",
                "second_step",
                "passkey",
                name="tokenpurpose",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_one_time_token_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_one_time_token"),
        sa.UniqueConstraint("token_digest", name="uq_one_time_token_token_digest"),
    )
    op.create_index("ix_one_time_token_account_id_purpose", "one_time_token", ["account_id", "purpose"], unique=False)
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(length=1023), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_passkey_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_passkey"),
        sa.UniqueConstraint("credential_id", name="uq_passkey_credential_id"),
    )
    op.create_index("ix_passkey_account_id", "passkey", ["account_id"], unique=False)
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("code_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_recovery_code_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_code"),
        sa.UniqueConstraint("code_digest", name="uq_recovery_code_code_digest"),
    )
    op.create_index("ix_recovery_code_account_id", "recovery_code", ["account_id"], unique=False)
    op.create_table(
        "signal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "dispute",
                "fraud_warning",
                "refund",
                "linked_card",
                "text_rule",
                "leaked_key",
                "verification",
                name="signalkind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reference", sa.String(length=120), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=80), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_signal_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signal"),
        sa.UniqueConstraint("kind", "reference", name="uq_signal_kind_reference"),
    )
    op.create_index("ix_signal_account_id", "signal", ["account_id"], unique=False)
    op.create_index("ix_signal_closed_at_id", "signal", ["closed_at", "id"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(length=120), nullable=False),
        sa.Column("plan", sa.String(length=24), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "incomplete",
                "incomplete_expired",
                "trialing",
                "active",
                "past_due",
                "unpaid",
                "paused",
                "canceled",
                name="subscriptionstatus",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("grace_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("overage_cap", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("overage_cap >= 0", name=op.f("ck_subscription_cap_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_subscription_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_subscription"),
        sa.UniqueConstraint("account_id", name="uq_subscription_account_id"),
        sa.UniqueConstraint("external_id", name="uq_subscription_external_id"),
    )
    op.create_index("ix_subscription_grace_until", "subscription", ["grace_until"], unique=False)
    op.create_table(
        "totp_factor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_totp_factor_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_totp_factor"),
        sa.UniqueConstraint("account_id", name="uq_totp_factor_account_id"),
    )
    op.create_table(
        "verification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "method",
            sa.Enum(
                "stripe",
                "sandbox",
                "operator",
                name="verificationmethod",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "requires_input",
                "processing",
                "verified",
                "canceled",
                name="verificationstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column("name_digest", sa.String(length=64), nullable=True),
        sa.Column("problem", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_verification_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_verification"),
        sa.UniqueConstraint("external_id", name="uq_verification_external_id"),
    )
    op.create_index("ix_verification_account_id", "verification", ["account_id"], unique=False)


def downgrade() -> None:
    """Take them away."""
    for table in reversed(TABLES):
        op.drop_table(table)
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)

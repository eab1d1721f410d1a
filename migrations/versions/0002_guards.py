"""Guards that hold whatever the code does.

- audit entries, the generation ledger, stamps and charges are append-only;
- no ledger row, and so no audio, for a voice that may not speak at that moment.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("audit_entry", "generation", "stamp", "usage_entry")

# On SQLite, INSERT OR REPLACE takes away the row in its way without asking the DELETE trigger.
IN_THE_WAY = {
    "audit_entry": "id = NEW.id",
    "generation": "id = NEW.id OR clip_id = NEW.clip_id OR public_ref = NEW.public_ref OR tag = NEW.tag",
    "stamp": "id = NEW.id OR generation_id = NEW.generation_id OR storage_key = NEW.storage_key",
    "usage_entry": "id = NEW.id OR (job_id = NEW.job_id AND kind = NEW.kind)",
}

MAY_NOT_SPEAK = """
    SELECT 1 FROM voice
    WHERE voice.id = NEW.voice_id AND (
        voice.state <> 'ready'
        OR (voice.stock_id IS NULL AND NOT EXISTS (
            SELECT 1 FROM consent
            WHERE consent.id = NEW.consent_id AND consent.id = voice.consent_id
            AND consent.voice_id = voice.id AND consent.in_force
        ))
    )
"""


def upgrade() -> None:
    """Add the triggers."""
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        there = f"SELECT 1 FROM {table} WHERE rowid = NEW.rowid OR {IN_THE_WAY[table]}"  # noqa: S608 - our own names
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({there}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: it has this row already'); END"
        )
    op.execute(
        f"CREATE TRIGGER generation_needs_voice BEFORE INSERT ON generation WHEN EXISTS ({MAY_NOT_SPEAK}) "
        "BEGIN SELECT RAISE(ABORT, 'this voice may not speak: no consent in force'); END"
    )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    op.execute(
        "CREATE FUNCTION voice_may_speak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF EXISTS ({MAY_NOT_SPEAK}) THEN RAISE EXCEPTION 'this voice may not speak: no consent in force'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER generation_needs_voice BEFORE INSERT ON generation "
        "FOR EACH ROW EXECUTE FUNCTION voice_may_speak()"
    )


def downgrade() -> None:
    """Take the triggers away."""
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_no_update")
            op.execute(f"DROP TRIGGER {table}_no_delete")
            op.execute(f"DROP TRIGGER {table}_no_replace")
        op.execute("DROP TRIGGER generation_needs_voice")
        return
    op.execute("DROP TRIGGER generation_needs_voice ON generation")
    op.execute("DROP FUNCTION voice_may_speak()")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_change()")

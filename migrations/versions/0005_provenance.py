"""Fingerprints, words that can be searched, the transparency log, public detections and evidence bundles."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

APPEND_ONLY = {
    "merkle_leaf": "position = NEW.position OR (kind = NEW.kind AND subject_id = NEW.subject_id)",
    "merkle_node": "level = NEW.level AND position = NEW.position",
    "checkpoint": "size = NEW.size",
    "provenance_key": "id = NEW.id OR (use = NEW.use AND fingerprint = NEW.fingerprint)",
}
OLD_SIGNALS = ("dispute", "fraud_warning", "refund", "linked_card", "text_rule", "leaked_key", "verification")
SIGNALS = (*OLD_SIGNALS, "marked_upload")
NO_LEAF = "NOT EXISTS (SELECT 1 FROM merkle_leaf WHERE kind = 'generation' AND subject_id = NEW.generation_id)"


def upgrade() -> None:
    """Make the tables, their guards and the index of words."""
    _tables()
    op.create_index("ix_generation_voice_id_characters", "generation", ["voice_id", "characters"])
    op.execute("ALTER TABLE trace_query ADD COLUMN purpose VARCHAR(24) DEFAULT 'moderation' NOT NULL")
    op.execute("ALTER TABLE trace_query ADD COLUMN matched JSON DEFAULT '{}' NOT NULL")
    for table, in_the_way in APPEND_ONLY.items():
        _guard(table, in_the_way)
    _signals(OLD_SIGNALS, SIGNALS)
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _tables() -> None:
    op.create_table(
        "fingerprint",
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], name="fk_fingerprint_generation_id"),
        sa.PrimaryKeyConstraint("generation_id", name="pk_fingerprint"),
    )
    op.create_table(
        "merkle_leaf",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", _choice("leafkind", "generation", "stamp", "act"), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("salt", sa.String(length=43), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_merkle_leaf"),
        sa.UniqueConstraint("kind", "subject_id", name="uq_merkle_leaf_kind_subject_id"),
    )
    op.create_index("ix_merkle_leaf_hash", "merkle_leaf", ["hash"])
    op.create_table(
        "merkle_node",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name="pk_merkle_node"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("timestamp_token", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoint"),
    )
    op.create_table(
        "provenance_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("use", _choice("keyuse", "mark", "signing", "credentials"), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("public_pem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provenance_key"),
        sa.UniqueConstraint("use", "fingerprint", name="uq_provenance_key_use_fingerprint"),
    )
    op.create_table(
        "detection",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("trace_query_id", sa.Uuid(), nullable=False),
        sa.Column("file_digest", sa.String(length=64), nullable=False),
        sa.Column("asked_from", sa.String(length=64), nullable=True),
        sa.Column("answer", _choice("answer", "made_here", "not_found", "cant_tell"), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(answer IS NULL) = (receipt IS NULL)", name=op.f("ck_detection_answer_has_receipt")),
        sa.ForeignKeyConstraint(["trace_query_id"], ["trace_query.id"], name="fk_detection_trace_query_id"),
        sa.PrimaryKeyConstraint("id", name="pk_detection"),
        sa.UniqueConstraint("public_id", name="uq_detection_public_id"),
        sa.UniqueConstraint("trace_query_id", name="uq_detection_trace_query_id"),
    )
    op.create_index("ix_detection_asked_from_created_at", "detection", ["asked_from", "created_at"])
    op.create_index("ix_detection_file_digest_answered_at", "detection", ["file_digest", "answered_at"])
    op.create_table(
        "evidence_bundle",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("trace_query_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", _choice("bundlestate", "waiting", "ready", "failed"), nullable=False),
        sa.Column("storage_key", sa.String(length=120), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'ready' OR storage_key IS NOT NULL", name=op.f("ck_evidence_bundle_ready_has_a_file")
        ),
        sa.ForeignKeyConstraint(["trace_query_id"], ["trace_query.id"], name="fk_evidence_bundle_trace_query_id"),
        sa.PrimaryKeyConstraint("id", name="pk_evidence_bundle"),
        sa.UniqueConstraint("public_id", name="uq_evidence_bundle_public_id"),
        sa.UniqueConstraint("storage_key", name="uq_evidence_bundle_storage_key"),
    )
    op.create_index("ix_evidence_bundle_trace_query_id", "evidence_bundle", ["trace_query_id"])


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=24)


def _postgresql() -> None:
    op.execute("CREATE INDEX ix_clip_words ON clip USING gin (to_tsvector('simple', text))")
    op.execute(
        "CREATE FUNCTION generation_is_in_the_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {NO_LEAF} THEN RAISE EXCEPTION 'no stamp before the generation is in the log'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER stamp_needs_leaf BEFORE INSERT ON stamp "
        "FOR EACH ROW EXECUTE FUNCTION generation_is_in_the_log()"
    )


def _sqlite() -> None:
    op.execute("CREATE VIRTUAL TABLE clip_words USING fts5(clip_id, text, tokenize = 'unicode61')")
    op.execute("INSERT INTO clip_words (clip_id, text) SELECT id, text FROM clip WHERE text <> ''")
    # The id is a word of its column, so that its row is found by the index and not by reading all of them.
    of_it = "WHERE rowid IN (SELECT rowid FROM clip_words WHERE clip_words MATCH 'clip_id:' || OLD.id)"
    added = "INSERT INTO clip_words (clip_id, text) VALUES (NEW.id, NEW.text)"
    for name, when, what in (
        ("added", "INSERT", added),
        ("changed", "UPDATE OF text", "UPDATE clip_words SET text = NEW.text " + of_it),  # noqa: S608 - our own words
        ("gone", "DELETE", "DELETE FROM clip_words " + of_it),  # noqa: S608 - our own words
    ):
        op.execute(f"CREATE TRIGGER clip_words_{name} AFTER {when} ON clip BEGIN {what}; END")
    op.execute(
        f"CREATE TRIGGER stamp_needs_leaf BEFORE INSERT ON stamp WHEN {NO_LEAF} "
        "BEGIN SELECT RAISE(ABORT, 'no stamp before the generation is in the log'); END"
    )


def _signals(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Let the kinds of signals be others. SQLite can't change a check: the table, which has no triggers, is rebuilt."""
    old, new = (", ".join(f"'{kind}'" for kind in kinds) for kinds in (before, after))
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("ALTER TABLE signal DROP CONSTRAINT ck_signal_signalkind")
        op.execute(f"ALTER TABLE signal ADD CONSTRAINT ck_signal_signalkind CHECK (kind IN ({new}))")
        return
    parts = bind.exec_driver_sql("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'signal' AND sql NOT NULL").all()
    table = next(sql for kind, sql in parts if kind == "table")
    op.execute("ALTER TABLE signal RENAME TO signal_before")
    for kind, sql in parts:
        if kind == "index":
            op.execute(f"DROP INDEX {sql.split()[2]}")
    op.execute(table.replace(old, new))
    op.execute("INSERT INTO signal SELECT * FROM signal_before")
    op.execute("DROP TABLE signal_before")
    for kind, sql in parts:
        if kind == "index":
            op.execute(sql)


def _guard(table: str, in_the_way: str) -> None:
    """The append-only triggers of 0002."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    there = f"SELECT 1 FROM {table} WHERE rowid = NEW.rowid OR {in_the_way}"  # noqa: S608 - our own names
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({there}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: it has this row already'); END"
    )


def downgrade() -> None:
    """Take all of it away. Signals of the new kind go with it."""
    op.execute("DELETE FROM signal WHERE kind = 'marked_upload'")
    _signals(SIGNALS, OLD_SIGNALS)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER stamp_needs_leaf ON stamp")
        op.execute("DROP FUNCTION generation_is_in_the_log()")
        op.execute("DROP INDEX ix_clip_words")
    else:
        for trigger in ("stamp_needs_leaf", "clip_words_added", "clip_words_changed", "clip_words_gone"):
            op.execute(f"DROP TRIGGER {trigger}")
        op.execute("DROP TABLE clip_words")
    for table in ("evidence_bundle", "detection", "provenance_key", "checkpoint", "merkle_node", "merkle_leaf"):
        op.drop_table(table)
    op.drop_table("fingerprint")
    op.drop_index("ix_generation_voice_id_characters", "generation")
    op.execute("ALTER TABLE trace_query DROP COLUMN matched")
    op.execute("ALTER TABLE trace_query DROP COLUMN purpose")

"""The usage ledger: double entry instead of plain charges. Old charges become settled reservations of their month."""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

AN_END = "kind IN ('settle', 'release')"
IN_THE_WAY = (
    "id = NEW.id OR (job_id = NEW.job_id AND kind = NEW.kind)"
    f" OR (job_id = NEW.job_id AND {AN_END} AND NEW.{AN_END})"
    " OR (account_id = NEW.account_id AND kind = NEW.kind AND reference = NEW.reference)"
)
OLD_IN_THE_WAY = "id = NEW.id OR (job_id = NEW.job_id AND kind = NEW.kind)"

WAYS = (
    ("grant", "granted", "allowance"),
    ("carry", "granted", "allowance"),
    ("overage", "overage", "allowance"),
    ("overage_back", "allowance", "overage"),
    ("reserve", "allowance", "reserved"),
    ("release", "reserved", "allowance"),
    ("settle", "reserved", "used"),
    ("refund", "refunded", "allowance"),
)
ONE_WAY = " OR ".join(
    f"(kind = '{kind}' AND debit = '{debit}' AND credit = '{credit}')" for kind, debit, credit in WAYS
)
MOVES = {"reserve": ("allowance", "reserved"), "settle": ("reserved", "used")}


def upgrade() -> None:
    """Make the ledger, carry the charges over, and drop their table."""
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "grant",
                "carry",
                "overage",
                "overage_back",
                "reserve",
                "release",
                "settle",
                "refund",
                name="entrykind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "debit",
            sa.Enum(
                "granted",
                "overage",
                "refunded",
                "allowance",
                "reserved",
                "used",
                name="book",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "credit",
            sa.Enum(
                "granted",
                "overage",
                "refunded",
                "allowance",
                "reserved",
                "used",
                name="book",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("reference", sa.String(length=80), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(ONE_WAY, name=op.f("ck_ledger_entry_one_way_for_each_kind")),
        sa.CheckConstraint("(job_id IS NULL) <> (reference IS NULL)", name=op.f("ck_ledger_entry_job_or_reference")),
        sa.CheckConstraint("characters > 0", name=op.f("ck_ledger_entry_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_ledger_entry_account_id"),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name="fk_ledger_entry_api_key_id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_ledger_entry_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entry"),
        sa.UniqueConstraint("account_id", "kind", "reference", name="uq_ledger_entry_account_id_kind_reference"),
        sa.UniqueConstraint("job_id", "kind", name="uq_ledger_entry_job_id_kind"),
    )
    op.create_index(
        "uq_ledger_entry_one_end",
        "ledger_entry",
        ["job_id"],
        unique=True,
        sqlite_where=sa.text(AN_END),
        postgresql_where=sa.text(AN_END),
    )
    op.create_index(
        "ix_ledger_entry_account_id_period_kind_characters",
        "ledger_entry",
        ["account_id", "period", "kind", "characters"],
        unique=False,
    )
    op.create_index("ix_ledger_entry_api_key_id_at", "ledger_entry", ["api_key_id", "at"], unique=False)
    _carry_charges_over()
    _hold_for_open_jobs()
    _unguard("usage_entry")
    op.drop_index("ix_usage_entry_account_id_at", table_name="usage_entry")
    op.drop_table("usage_entry")
    _guard("ledger_entry", IN_THE_WAY)


def _old_tables() -> tuple[sa.Table, sa.Table, sa.Table]:
    """Charges, jobs and clips: of each what is read here."""
    metadata = sa.MetaData()
    ids = ("id", "account_id", "job_id")
    charges = sa.Table(
        "usage_entry",
        metadata,
        *(sa.Column(name, sa.Uuid()) for name in ids),
        sa.Column("characters", sa.Integer()),
        sa.Column("at", sa.DateTime(timezone=True)),
    )
    jobs = sa.Table("job", metadata, sa.Column("id", sa.Uuid()), sa.Column("state", sa.String()))
    clips = sa.Table("clip", metadata, *(sa.Column(name, sa.Uuid()) for name in ids), sa.Column("text", sa.Text()))
    return charges, jobs, clips


LEDGER = sa.Table(
    "ledger_entry",
    sa.MetaData(),
    *(sa.Column(name, sa.Uuid()) for name in ("id", "account_id", "job_id")),
    *(sa.Column(name, sa.String()) for name in ("kind", "debit", "credit")),
    sa.Column("characters", sa.Integer()),
    sa.Column("period", sa.DateTime(timezone=True)),
    sa.Column("at", sa.DateTime(timezone=True)),
)


def _carry_charges_over() -> None:
    charges, _, _ = _old_tables()
    for row in op.get_bind().execute(sa.select(charges).where(charges.c.characters > 0)).all():
        for kind in ("reserve", "settle"):
            _write(kind, row.account_id, row.job_id, row.characters, row.at)


def _hold_for_open_jobs() -> None:
    """A clip that is under way is charged when it is done: hold its characters, as if it were submitted now."""
    _, jobs, clips = _old_tables()
    under_way = sa.select(clips).join(jobs, jobs.c.id == clips.c.job_id).where(jobs.c.state.in_(("queued", "running")))
    for row in op.get_bind().execute(under_way).all():
        _write("reserve", row.account_id, row.job_id, len(row.text), datetime.now(UTC))


def _write(kind: str, account_id: uuid.UUID, job_id: uuid.UUID, characters: int, at: datetime) -> None:
    debit, credit = MOVES[kind]
    at = at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)  # SQLite keeps UTC without saying so
    if op.get_bind().dialect.name == "sqlite":
        at = at.replace(tzinfo=None)
    entry = {"id": uuid.uuid4(), "account_id": account_id, "job_id": job_id, "characters": characters}
    moment = {"period": at.replace(day=1, hour=0, minute=0, second=0, microsecond=0), "at": at}
    op.get_bind().execute(LEDGER.insert().values(**entry, **moment, kind=kind, debit=debit, credit=credit))


def downgrade() -> None:
    """Make the table of charges again, from what was settled."""
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
    op.create_index("ix_usage_entry_account_id_at", "usage_entry", ["account_id", "at"])
    op.execute(
        "INSERT INTO usage_entry (id, account_id, job_id, kind, characters, at)"
        " SELECT id, account_id, job_id, 'speak', characters, at FROM ledger_entry WHERE kind = 'settle'"
    )
    _guard("usage_entry", OLD_IN_THE_WAY)
    _unguard("ledger_entry")
    op.drop_table("ledger_entry")


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


def _unguard(table: str) -> None:
    names: tuple[str, ...]
    if op.get_bind().dialect.name == "postgresql":
        names = ("append_only", "no_truncate")
        suffix = f" ON {table}"
    else:
        names, suffix = ("no_update", "no_delete", "no_replace"), ""
    for name in names:
        op.execute(f"DROP TRIGGER {table}_{name}{suffix}")

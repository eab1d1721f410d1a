"""All settings in one place: frozen, nested, read from VOUCH_ environment variables once per process.

Nested names join with two underscores: `VOUCH_DATABASE__URL`, `VOUCH_BROKER__URL`, `VOUCH_STORAGE__URL`.
The defaults run everything embedded: SQLite, a broker of files, a storage folder, all under `data_dir`.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024
OptionalPath = Annotated[Path | None, BeforeValidator(lambda given: given or None)]
"""A path, or None where the variable is empty."""


class Frozen(BaseModel):
    """A group of settings; groups can't be changed after start."""

    model_config = {"frozen": True, "extra": "forbid"}


class Database(Frozen):
    """Where rows live."""

    url: str = Field("", description="SQLAlchemy URL; empty means SQLite in the data directory.")
    pool_size: int = Field(10, ge=1, description="Connections kept per process (PostgreSQL).")


class Broker(Frozen):
    """How the doorbell reaches the workers: files, Redis or RabbitMQ."""

    url: str = Field("", description="redis://... or amqp://...; empty means files in the data directory.")
    visibility_timeout: timedelta = Field(
        timedelta(hours=1), description="Redis only: must be longer than the longest job."
    )


class Storage(Frozen):
    """Where audio lives."""

    url: str = Field("", description="s3://bucket/prefix; empty means a folder in the data directory.")
    s3_endpoint: str = Field("", description="Address of an S3-compatible server other than Amazon's.")
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr = SecretStr("")
    s3_secret_access_key: SecretStr = SecretStr("")


class Web(Frozen):
    """The web process."""

    host: str = "127.0.0.1"
    port: int = Field(8800, ge=0, le=65535)
    public_url: str = Field("", description="Address that browsers use; empty means http://host:port.")
    secure_cookies: bool = Field(False, description="Must be on behind TLS: adds Secure and the __Host- prefix.")
    session_lifetime: timedelta = Field(timedelta(days=14), description="A session ends this long after sign-in.")
    session_idle: timedelta = Field(timedelta(days=3), description="A session ends when it is not used this long.")
    confirm_for: timedelta = Field(
        timedelta(minutes=15), description="Sensitive changes need a sign-in or a password this recent."
    )
    secret_file: Path | None = Field(
        None, description="The key that seals authenticator secrets; empty means secret.key in the data directory."
    )
    max_upload_bytes: int = Field(64 * MEBIBYTE, description="Largest request body.")
    wait_for_speech: timedelta = Field(
        timedelta(seconds=200),
        description="How long text-to-speech holds a request open before it answers 504.",
    )


class Jobs(Frozen):
    """Claiming, leases and retries."""

    lease: timedelta = Field(timedelta(seconds=30), description="A worker that is silent this long loses its job.")
    time_limit: timedelta = Field(
        timedelta(minutes=50),
        description="A worker process that works longer than this on one claim ends itself; its jobs are tried again.",
    )
    max_attempts: int = Field(3, ge=1)
    batch: int = Field(4, ge=1, description="Most rows that one claim takes.")
    sweep_every: timedelta = Field(timedelta(seconds=5), description="How often lost jobs are looked for.")
    ring_again_after: timedelta = Field(
        timedelta(seconds=20), description="A queued job that nobody took is rung for again after this long."
    )
    speech_queue: Literal["cpu", "gpu"] = Field("cpu", description="Which workers clone and speak.")


class Voices(Frozen):
    """What a sample and a consent must be."""

    min_speech: timedelta = timedelta(seconds=30)
    max_speech: timedelta = timedelta(minutes=3)
    max_files: int = 25
    consent_lifetime: timedelta = Field(timedelta(minutes=15), description="How long a sentence to read is good for.")
    consent_attempts: int = Field(5, ge=1, description="Sentences that one voice may ask for within a day.")
    service_name: str = Field("Vouch", description="The name that the speaker consents to.")


class Speech(Frozen):
    """What can be spoken."""

    engine: str = Field("kokoro", description="A name in the engine registry.")
    max_characters: int = Field(5_000, description="Longest text of one request.")


class Provenance(Frozen):
    """Keys and rules of the mark."""

    key_directory: OptionalPath = Field(
        None, description="Folder of the secret keys; empty means keys/ in the data directory."
    )
    signing_key_file: OptionalPath = Field(
        None,
        description="The Ed25519 key that signs checkpoints, receipts and evidence; empty means signing.pem in the "
        "folder of the keys.",
    )
    certificate_file: OptionalPath = Field(
        None,
        description="PEM chain of your own certificate for content credentials, leaf first; empty means the one that "
        "`vouch admin init-keys` made.",
    )
    certificate_key_file: OptionalPath = Field(None, description="PEM of its private key (ES256, PKCS #8).")
    trust_anchors_file: OptionalPath = Field(
        None, description="PEM certificates of further authorities whose content credentials count as known."
    )
    timestamp_url: str = Field(
        "", description="An RFC 3161 time-stamp authority, for content credentials and checkpoints; empty means none."
    )
    index_directory: OptionalPath = Field(
        None, description="Folder of the fingerprint index of this machine; empty means index/ in the data directory."
    )
    checkpoint_directory: OptionalPath = Field(
        None,
        description="Folder that signed checkpoints are written to, best on another machine's disk; empty means "
        "checkpoints/ in the data directory.",
    )
    checkpoint_every: timedelta = Field(
        timedelta(minutes=10), description="How often the ledger is signed, when it has grown."
    )
    detections_per_day: int = Field(30, ge=0, description="Public detections from one network; 0 switches them off.")
    detection_max_bytes: int = Field(20 * MEBIBYTE, description="Largest file of a public detection.")


class Accounts(Frozen):
    """Who may have an account, and how they prove themselves."""

    sign_up: Literal["open", "closed"] = Field("open", description="Closed: only the operator makes accounts.")
    staff_second_factor: bool = Field(True, description="Moderators and operators must use a second factor.")
    link_lifetime: timedelta = Field(timedelta(hours=24), description="How long a link that proves an address works.")
    reset_lifetime: timedelta = Field(timedelta(hours=1), description="How long a link to a new password works.")
    recheck_grace: timedelta = Field(
        timedelta(days=7), description="After a change of card, the person must be verified again within this time."
    )


class Mail(Frozen):
    """How mail leaves."""

    url: str = Field(
        "",
        description="smtp://user:password@host:587 (STARTTLS), smtps://... or console:; empty means files in the data "
        "directory.",
    )
    sender: str = Field("Vouch <vouch@localhost>", description="The From address.")


class Billing(Frozen):
    """The payment provider. Without a key, development runs a sandbox and production leaves plans to the operator."""

    stripe_secret_key: SecretStr = SecretStr("")
    stripe_webhook_secret: SecretStr = SecretStr("")
    stripe_api_base: str = Field("", description="Another address of Stripe's API; for tests.")
    currency: str = Field("eur", description="Three-letter code of the currency of all prices.")
    grace: timedelta = Field(timedelta(days=7), description="How long a plan goes on when a payment is missing.")


class Policy(Frozen):
    """Rules about texts."""

    packs: tuple[Path, ...] = Field(
        (), description="Files of text rules beside the built-in ones; a rule of the same id replaces it."
    )


class Retention(Frozen):
    """How long each class of data is kept. A legal hold on an account stops all of these for it."""

    deletion_grace: timedelta = Field(timedelta(days=7), description="An account's deletion can be undone this long.")
    login_history: timedelta = timedelta(days=90)
    errands: timedelta = Field(timedelta(days=30), description="Mails, events and calls that are done.")
    exports: timedelta = timedelta(days=7)
    rejected_samples: timedelta = Field(timedelta(days=30), description="Recordings that no voice was made from.")
    trace_files: timedelta = Field(timedelta(days=215), description="What moderators had traced.")
    orphans: timedelta = Field(timedelta(days=1), description="Stored files that no row names.")


class Settings(BaseSettings):
    """The settings of one process. Get them with `get_settings()`."""

    model_config = SettingsConfigDict(env_prefix="VOUCH_", env_nested_delimiter="__", frozen=True, extra="forbid")

    environment: Literal["development", "production"] = "development"
    data_dir: Path = Field(Path("data"), description="Everything that the embedded default keeps.")
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    contact: str = Field("your administrator", description="Whom a refused person can ask, as printed on refusals.")
    test_consent_statement: str = Field(
        "", description="Tests only: the sentence of every consent. Refused in production."
    )
    database: Database = Database()
    broker: Broker = Broker()
    storage: Storage = Storage()
    web: Web = Web()
    accounts: Accounts = Accounts()
    mail: Mail = Mail()
    billing: Billing = Billing()
    policy: Policy = Policy()
    retention: Retention = Retention()
    jobs: Jobs = Jobs()
    voices: Voices = Voices()
    speech: Speech = Speech()
    provenance: Provenance = Provenance()

    @cached_property
    def database_url(self) -> str:
        """SQLAlchemy URL with a driver."""
        url = self.database.url or f"sqlite:///{self.data_dir.resolve() / 'vouch.db'}"
        if url.startswith(("postgres://", "postgresql://")):
            url = "postgresql+psycopg://" + url.split("://", 1)[1]
        return url

    @cached_property
    def broker_directory(self) -> Path:
        """Where the broker of files keeps its messages."""
        return self.data_dir.resolve() / "broker"

    @cached_property
    def key_directory(self) -> Path:
        """Where the secret keys are."""
        return self.provenance.key_directory or self.data_dir.resolve() / "keys"

    @cached_property
    def signing_key_file(self) -> Path:
        """Where the key is that signs checkpoints, receipts and evidence."""
        return self.provenance.signing_key_file or self.key_directory / "signing.pem"

    @cached_property
    def index_directory(self) -> Path:
        """Where the fingerprint index of this machine is."""
        return self.provenance.index_directory or self.data_dir.resolve() / "index"

    @cached_property
    def checkpoint_directory(self) -> Path:
        """Where signed checkpoints are written to."""
        return self.provenance.checkpoint_directory or self.data_dir.resolve() / "checkpoints"

    @cached_property
    def secret_file(self) -> Path:
        """Where the key of the web side is."""
        return self.web.secret_file or self.data_dir.resolve() / "secret.key"

    @cached_property
    def mail_directory(self) -> Path:
        """Where mail goes that is not sent."""
        return self.data_dir.resolve() / "mail"

    @cached_property
    def billing_provider(self) -> Literal["stripe", "sandbox", "operator"]:
        """Who takes payments: Stripe, a pretended provider (never in production), or nobody but the operator."""
        if self.billing.stripe_secret_key.get_secret_value():
            return "stripe"
        return "sandbox" if self.environment == "development" else "operator"

    @cached_property
    def public_url(self) -> str:
        """Base of links, without a slash at the end."""
        return (self.web.public_url or f"http://{self.web.host}:{self.web.port}").rstrip("/")

    @model_validator(mode="after")
    def _refuse_insecure_production(self) -> Self:
        if self.environment != "production":
            return self
        wrong = []
        if not self.database_url.startswith("postgresql"):
            wrong.append("VOUCH_DATABASE__URL must name a PostgreSQL database")
        if not self.broker.url.startswith(("redis://", "rediss://", "amqp://", "amqps://")):
            wrong.append("VOUCH_BROKER__URL must name a Redis or RabbitMQ server")
        if not self.web.secure_cookies:
            wrong.append("VOUCH_WEB__SECURE_COOKIES must be true, behind TLS")
        if not self.public_url.startswith("https://"):
            wrong.append("VOUCH_WEB__PUBLIC_URL must be the https:// address that people use")
        if self.provenance.key_directory is None:
            wrong.append("VOUCH_PROVENANCE__KEY_DIRECTORY must name the folder made by `vouch admin init-keys`")
        if self.web.secret_file is None:
            wrong.append("VOUCH_WEB__SECRET_FILE must name the key made by `vouch admin init-keys`")
        if not self.mail.url.startswith(("smtp://", "smtps://")):
            wrong.append("VOUCH_MAIL__URL must name a mail server")
        if self.billing_provider == "stripe" and not self.billing.stripe_webhook_secret.get_secret_value():
            wrong.append("VOUCH_BILLING__STRIPE_WEBHOOK_SECRET must be set beside the key")
        if not self.accounts.staff_second_factor:
            wrong.append("VOUCH_ACCOUNTS__STAFF_SECOND_FACTOR must be on")
        if self.test_consent_statement:
            wrong.append("VOUCH_TEST_CONSENT_STATEMENT is for tests and must be unset")
        if wrong:
            raise ValueError("not safe for production: " + "; ".join(wrong))
        return self


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()

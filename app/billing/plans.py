"""The plans, in one readable table. Prices in cents of the currency that the payment provider's prices are in."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.accounts.models import Account

TO_128K = ("mp3_*_32", "mp3_*_48", "mp3_*_64", "mp3_*_96", "mp3_*_128", "m4a_*_128")
TO_44_KHZ = (*TO_128K, "mp3_*_192", "*_8000", "*_16000", "*_22050", "*_24000", "*_32000", "*_44100")
TO_24_KHZ = ("*_8000", "*_16000", "*_22050", "*_24000")


@dataclass(frozen=True)
class Plan:
    """What a plan allows. Characters are those of the text spoken, counted when the clip is done."""

    id: str
    name: str
    price_cents: int
    """A month; 0 means free of charge."""
    characters_a_month: int
    voice_slots: int
    """How many cloned voices at once; 0 means stock voices only."""
    concurrency: int
    """How many clips may be waiting or running at once."""
    priority: int
    """Lower runs first."""
    overage_cents_per_1000: int
    """Price of 1,000 characters beyond the allowance; 0 means that there are none."""
    formats: tuple[str, ...]
    """Patterns of the output formats it may ask for."""

    def has_format(self, output_format: str) -> bool:
        """Whether the plan has an output format, such as `mp3_44100_192`."""
        return any(fnmatchcase(output_format, pattern) for pattern in self.formats)

    @property
    def paid(self) -> bool:
        """Whether somebody pays for it: what cloning needs."""
        return self.price_cents > 0


PLANS: dict[str, Plan] = {
    plan.id: plan
    for plan in (
        #    id         name        price  characters  voices  at once  priority  overage  formats
        Plan("free",    "Free",         0,     10_000,      0,       2,        9,       0, TO_128K + TO_24_KHZ),
        Plan("starter", "Starter",    600,     30_000,      3,       3,        6,      30, TO_128K + TO_24_KHZ),
        Plan("creator", "Creator",  2_200,    120_000,     10,       5,        5,      24, TO_44_KHZ),
        Plan("studio",  "Studio",   9_900,    600_000,     50,      10,        3,      18, ("*",)),
    )
}  # fmt: skip


def allowance_of(plan: Plan, owing: bool) -> int:
    """Characters of one month; while its payment is missing those of the free plan, or one payment would buy two."""
    return min(plan.characters_a_month, PLANS["free"].characters_a_month) if owing else plan.characters_a_month


def is_larger(plan: str, than: str) -> bool:
    """Whether a plan costs more than another one: changing to it begins a new month, which is paid whole."""
    return PLANS[plan].price_cents > PLANS[than].price_cents


def plan_of(account: Account) -> Plan:
    """The plan that an account is on."""
    return PLANS[account.plan]

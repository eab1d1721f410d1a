"""`vouch rules`: check packs of text rules against their own examples, and try a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import settings_with
from app.core.errors import Invalid
from app.policy.packs import Pack, builtin_packs, put_together, read_pack, text_rules

rules = typer.Typer(help="Rules about texts: docs/text-rules.md describes how to write them.", no_args_is_help=True)


@rules.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="More packs, beside those of the settings.")] = None,
) -> None:
    """Read all packs and run the examples of every rule. Exit code 1 when one does not do what it says."""
    packs = builtin_packs() + [read_pack(path) for path in (*settings_with().policy.packs, *(files or ()))]
    put_together(packs)
    wrong = [problem for pack in packs for problem in _problems(pack)]
    for pack in packs:
        examples = sum(len(rule.must_match) + len(rule.must_not_match) for rule in pack.rules)
        off = f", {len(pack.switched_off)} switched off" if pack.switched_off else ""
        typer.echo(f"{pack.name:<16} {pack.version:<14} {len(pack.rules):3} rules{off}, {examples} examples")
    for problem in wrong:
        typer.echo(problem)
    if wrong:
        raise typer.Exit(1)
    typer.echo("Every example does what it says.")


def _problems(pack: Pack) -> list[str]:
    return [
        f"{pack.name}: the rule {rule.id} {'misses' if wanted else 'matches'}: {example}"
        for rule in pack.rules
        for example, wanted in rule.failing_examples()
    ]


@rules.command("try")
def try_text(
    text: Annotated[str, typer.Argument(help="What would be spoken.")],
    language: Annotated[str, typer.Option(help="Language of the clip, such as en or de.")] = "en",
    stock: Annotated[bool, typer.Option("--stock", help="Spoken by a stock voice, not a cloned one.")] = False,
) -> None:
    """Say which rules a text meets, and with which words. Exit code 1 when it would be refused."""
    settings = settings_with()
    if len(text) > settings.speech.max_characters:
        raise Invalid("rules.long", f"The text is longer than {settings.speech.max_characters:,} characters.")
    found = text_rules(settings).read(text, language=language, cloned=not stock)
    for match in found.matches:
        typer.echo(f"{match.outcome.value:<7} {match.rule}: {match.title} (severity {match.severity})")
        typer.echo(f"        {match.why} {match.fix}")
        for start, end in match.spans:
            typer.echo(f"        characters {start} to {end}: {text[start:end]}")
    if found.refusal is not None:
        raise typer.Exit(1)
    typer.echo("It would be spoken, and moderators would be told." if found.matches else "No rule matches.")

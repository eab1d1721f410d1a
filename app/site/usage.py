"""The page of usage: what was spoken in the present period, drawn by day, and by voice and key; and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.accounts.identity import SignedIn, looking
from app.billing.ledger import Balance, balance_of
from app.billing.plans import Plan, plan_of
from app.billing.usage import Day, KeyUse, Line
from app.core.services import Services, services_of
from app.site.pages import page
from app.site.templating import iso
from app.speech.usage import VoiceUse, usage_of
from app.speech.usage_lines import MOST_CLIPS, SpokenClip, spoken_clips
from app.voices.models import VoiceState

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
PATH = "/account/usage"
_GAP = 0.25
"""Share of a bar's room that stays empty."""


@router.get(PATH)
def show_usage(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    with looking(services, caller) as (session, account):
        plan, balance = plan_of(account), balance_of(session, account)
        used = usage_of(session, account, since=balance.period.start)
        return page(
            request,
            "usage.html",
            account,
            balance=_balance(balance, plan),
            currency=services.settings.billing.currency.upper(),
            chart=_chart(used.days, balance.period.end.date()),
            voices=[_voice_row(each) for each in used.voices],
            keys=[_key_row(each) for each in used.keys],
            spoken=used.characters,
            overage=_lines(used.overage),
            refunds=_lines(used.refunds),
            most_clips=MOST_CLIPS,
        )


def _balance(balance: Balance, plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.name,
        "start": balance.period.start,
        "end": balance.period.end,
        "granted": balance.granted,
        "used": balance.used,
        "held": balance.reserved,
        "left": balance.left,
        "overage": balance.overage,
        "overage_cents": balance.overage * plan.overage_cents_per_1000 / 1000,
        "overage_cap": balance.period.overage_cap,
    }


def _chart(days: Sequence[Day], last: date) -> dict[str, Any]:
    """The bars: place and width in percent of the whole, height in percent of the tallest."""
    known = {each.day: each.characters for each in days}
    first = days[0].day
    room = 100 / ((last - first).days + 1)
    most = max(known.values())
    bars = [
        {
            "day": day,
            "characters": known.get(day, 0),
            "x": number * room,
            "width": room * (1 - _GAP),
            "height": 100 * known.get(day, 0) / most if most else 0,
        }
        for number, day in enumerate(first + timedelta(days=n) for n in range((last - first).days + 1))
    ]
    return {
        "bars": bars,
        "most": most,
        "busiest": max(days, key=lambda each: each.characters).day,
        "today": days[-1].day,
    }


def _voice_row(used: VoiceUse) -> dict[str, Any]:
    has_page = used.voice.account_id is not None and used.voice.state is not VoiceState.DELETED
    href = f"/voices/{used.voice.public_id}" if has_page else None
    return {"name": used.voice.name, "href": href, "characters": used.characters}


def _key_row(used: KeyUse) -> dict[str, Any]:
    return {"name": used.key.name if used.key else None, "characters": used.characters}


def _lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"at": line.at, "characters": line.characters} for line in lines]


@router.get(f"{PATH}.csv")
def download_usage(caller: SignedIn, services: Parts) -> Response:
    """The clips of the present period as a table, newest first."""
    with looking(services, caller) as (session, account):
        start = balance_of(session, account).period.start
        clips = spoken_clips(session, account, since=start)
    name = f"vouch-usage-{start:%Y-%m-%d}.csv"
    return Response(
        _table(clips),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _table(clips: Sequence[SpokenClip]) -> str:
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(("finished_at", "clip", "voice", "api_key", "characters", "beyond_allowance"))
    for clip in clips:
        names = (_plain(clip.voice), _plain(clip.key or ""))
        write.writerow((iso(clip.at), clip.clip_id, *names, clip.characters, clip.beyond))
    return out.getvalue()


def _plain(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

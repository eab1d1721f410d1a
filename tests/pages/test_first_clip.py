"""A newcomer's way to the first clip on the home page, and refusals that lead to where they can be seen to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.accounts.models import Role
from app.accounts.registration import NewAccount
from app.jobs.models import JobKind
from app.policy import rules
from app.site.leads import lead_of
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.pages.paying import Payer

Visit = Callable[[Service, NewAccount], Visitor]
STEPS = ("Choose a plan", "Verify who you are", "Give a minute of speech", "Have the speaker agree", "Speak")


def steps(person: Visitor) -> tuple[list[str], str]:
    """What the list says of each step, and where the button of the next one leads."""
    html = person.get("/").text
    said = Page.read(html).text
    states = [found for label in STEPS for found in re.findall(rf"{label} : (done|next|later)", said)]
    (button,) = re.findall(r'<a class="button" href="([^"]+)"', html[html.index('class="way"') : html.index("</ol>")])
    return states, button


def test_each_step_is_ticked_when_it_is_done_and_the_list_goes_with_the_first_clip(payer: Payer) -> None:
    person, world = payer.visitor, payer.service.world
    assert steps(person) == (["next", "later", "later", "later", "later"], "/account/plan")
    payer.subscribe("creator")
    assert steps(person) == (["done", "next", "later", "later", "later"], "/account/identity")
    payer.prove()
    assert steps(person) == (["done", "done", "next", "later", "later"], "/voices/new")
    voice = world.start_voice(payer.account)
    page = f"/voices/{voice.public_id}"
    assert steps(person) == (["done", "done", "next", "later", "later"], page), "the sample is not heard yet"
    world.judge_sample(world.take(JobKind.INTAKE))
    assert steps(person) == (["done", "done", "done", "next", "later"], page)
    world.give_consent(voice)
    world.make_voice(world.take(JobKind.CLONE))
    assert steps(person) == (["done", "done", "done", "done", "next"], f"/speak?voice_id={voice.public_id}")
    world.speak(payer.account, voice)
    assert "first clip" in person.get("/").text, "a clip that waits is none yet"
    world.deliver(world.take(JobKind.SPEAK))
    assert "first clip" not in person.get("/").text


def test_staff_has_no_such_list(service: Service, visit: Visit) -> None:
    moderator = visit(service, service.world.newcomer(role=Role.MODERATOR))
    assert "first clip" not in moderator.get("/").text


@pytest.mark.parametrize(
    ("plan", "verified", "lead"), [("free", False, "/account/plan"), ("creator", False, "/account/identity")]
)
def test_a_refusal_leads_to_where_it_can_be_seen_to(
    service: Service, visit: Visit, plan: str, verified: bool, lead: str
) -> None:
    person = visit(service, service.world.newcomer(plan=plan, verified=verified))
    html = person.get("/voices/new").text
    card = html[html.index('class="refusal"') : html.index("refusal-foot")]
    assert f'href="{lead}"' in card
    assert person.get(lead).status_code == 200


def test_every_rule_of_the_gate_leads_somewhere() -> None:
    """Those about the text do not: there the words say what to change, and so does the role of staff."""
    source = Path(rules.__file__).read_text()
    named = set(re.findall(r'_Refusal\(\s*f?"([a-z_{}.]+)"', source))
    made = {name.format(action=action) for name in named if "text" not in name for action in ("clone", "speak")}
    assert len(made) > 12
    assert {rule for rule in made if lead_of(rule, "voice") is None} == {"clone.role", "speak.role"}

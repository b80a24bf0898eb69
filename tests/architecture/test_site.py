"""The documentation site has all that there is to look up, and its links lead somewhere; `make docs` builds it."""

import re
import tomllib
from pathlib import Path

import pytest

import stream_scorer
from stream_scorer.cli import COMMANDS
from stream_scorer.core.wire.letter_codes import CODES
from stream_scorer.schemas import MESSAGES
from stream_scorer.settings import Settings
from stream_scorer.settings_shown import described
from tests.chart_files import CHART
from tests.docs_site.links import broken
from tests.docs_site.site import ROOT, Site, build, places, write

PACKAGE = Path(stream_scorer.__file__).parent
REFERENCE = "reference/{}.md"
# how telemetry makes a metric, and how one is named in full
MADE, NAMED = re.compile(r'(?:counter|gauge|histogram)\(\s*"([a-z_]+)"'), re.compile(r'"stream_scorer_([a-z_]+)"')


@pytest.fixture(scope="module")
def site() -> Site:
    return build()


def entries(page: str) -> dict[str, str]:
    """What the page says under each heading, by the heading's address."""
    parts = re.split(r"^#+ .*\{#(\S+)\}$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_setting_is_explained(site: Site) -> None:
    on_page = entries(site.pages[REFERENCE.format("settings")])
    for setting in described():
        words = re.sub(r"`|\]\([^)]*\)|\[", "", on_page[setting.name])
        assert re.sub(r"`|\[", "", setting.meaning) in words
        assert setting.default.replace("[", "") in words


def test_every_command_is_on_its_page(site: Site) -> None:
    on_page = entries(site.pages[REFERENCE.format("commands")])
    assert {*COMMANDS, "dead-letters-resend"} <= set(on_page)
    assert "`--folder <str>`" in on_page["erase"]
    assert all(text.strip() for text in on_page.values())


def test_every_metric_is_on_its_page(site: Site) -> None:
    code = "".join(each.read_text() for each in PACKAGE.rglob("*.py"))
    named = {f"stream_scorer_{name}" for name in [*MADE.findall(code), *NAMED.findall(code)]}
    on_page = set(entries(site.pages[REFERENCE.format("metrics")]))
    assert len(named) >= 25
    assert {name for name in named if not {name, f"{name}_info"} & on_page} == set()


def test_every_code_has_cause_and_cure(site: Site) -> None:
    on_page = entries(site.pages[REFERENCE.format("dead-letter-codes")])
    assert set(on_page) == set(CODES)
    assert all("**Cause.**" in text and "**Cure.**" in text for text in on_page.values())


def test_every_alert_says_what_happens(site: Site) -> None:
    on_page = entries(site.pages[REFERENCE.format("alerts")])
    assert set(on_page) == set(re.findall(r"- alert: (\w+)", (CHART / "monitoring" / "alerts.yaml").read_text()))
    assert all("**Do.**" in text and "{{" not in text for text in on_page.values())


def test_every_topic_and_message_is_explained(site: Site) -> None:
    on_page = set(entries(site.pages[REFERENCE.format("topics")]))
    assert on_page >= {name for name, _ in Settings().topics.each()} | set(MESSAGES)


def test_every_document_is_a_page() -> None:
    documents = {each.relative_to(ROOT).as_posix() for each in (ROOT / "docs").rglob("*.md")}
    assert documents <= set(places())
    assert len(set(places().values())) == len(places())


def test_every_link_leads_somewhere(site: Site) -> None:
    assert broken(site) == []


@pytest.mark.parametrize("target", ["b.md", "#below", "../a.md", "a.md#below"])
def test_a_link_to_nothing_is_seen(target: str) -> None:
    assert broken(Site({"a.md": f"# Above\n\n[here]({target}) [there](a.md#above)\n"}, {})) == [f"a.md: {target}"]


def test_names_lead_to_where_they_are_explained(site: Site) -> None:
    assert "[`join.window_ms`](reference/settings.md#join.window_ms)" in site.pages["tutorial.md"]
    assert "(../reference/dead-letter-codes.md#unknown_request)" in site.pages["explanation/architecture.md"]


def test_lists_and_tables_stand_apart(site: Site) -> None:
    """Else the generator takes them for more of the sentence before, which other readers of Markdown do not."""
    begun = re.compile(r"^(?![-*|\s#<]|\d+\. ).*\S.*\n(?:[-*] |1\. |\|)", re.MULTILINE)
    found = {place: begun.findall(re.sub(r"(?ms)^```.*?^```$", "", text)) for place, text in site.pages.items()}
    assert {place: lines for place, lines in found.items() if lines} == {}


def test_no_page_asks_another_host(site: Site) -> None:
    assert tomllib.loads((ROOT / "docs" / "zensical.toml").read_text())["project"]["theme"]["font"] is False
    shown = [target for text in site.pages.values() for target in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)]
    assert [each for each in shown if ":" in each] == []


def test_the_site_is_written_for_the_generator(site: Site, tmp_path: Path) -> None:
    write(site, tmp_path)
    configured = tomllib.loads((tmp_path / "zensical.toml").read_text())["project"]
    listed = set(re.findall(r"'([\w/.-]+\.md)'", str(configured["nav"])))
    assert listed == set(places().values())
    assert {each.relative_to(tmp_path / "pages").as_posix() for each in tmp_path.rglob("*.md")} == listed
    assert (tmp_path / "pages" / configured["extra_css"][0]).is_file()

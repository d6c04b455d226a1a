"""The page of alerts: complete, escaped, self-contained, accessible, the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from alert_example import DAY, alert, full_page, without_alerts
from html_page import Page

from recsys.errors import DataError, PublishError
from recsys.fraud.report import Alert, AlertPage, Reason, render_alert_page, write_alert_page
from recsys.fraud.report.views import MAX_TIME_LINE
from recsys.fraud.report.wording import instant, money, odds, score

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "formula": "=cmd()|'/c calc'!A0",
    "attribute": "\" onerror='x' data-x=\"",
    "end of style": "</style></svg></table><!-- & &amp; {{ 7*7 }} {% raw %}",
}
FETCHING_TAGS = {"script", "link", "iframe", "object", "embed", "base", "form", "img", "image"}


@pytest.fixture(scope="module")
def content() -> AlertPage:
    """Everything a page can show."""
    return full_page()


@pytest.fixture(scope="module")
def page(content: AlertPage) -> Page:
    """It as a parser sees it."""
    return Page(render_alert_page(content))


def shown(reason: Reason) -> list[str]:
    """Cells of a piece of evidence."""
    name = f"{reason.text} {reason.evidence}"
    return [name, reason.observed, reason.expected, odds(reason.rarity), f"{reason.share:.0%}"]


def time_line(page: Page, one: Alert) -> list[list[str]]:
    """Rows of the whole time line of an account."""
    return page.tables[f"Time line of account {one.account_id}"][1:]


def test_the_top_says_what_the_day_brought(page: Page, content: AlertPage) -> None:
    """Headline, rule, notes, sizes, model, data and rows set aside all stand on the page."""
    assert "3 alerts among 812 accounts on 2020-07-01" in page.text
    assert f"Cards word 3 alerts among 812 accounts on 2020-07-01 {content.rule}" in page.text
    assert content.notes[0] in page.text
    assert page.table("Scoring") == {
        "Name": ["Value"],
        "rule": [content.rule],
        "day": ["2020-07-01, UTC"],
        "accounts": ["812"],
        "transactions": ["48,123"],
        "data": [content.data],
        "model": [content.bundle_id],
    }
    assert page.table("Rows that were set aside")["amount is missing word"] == ["1,234"]
    assert "Accounts with little history 57 1 among the alerts" in page.text
    assert "Transactions scored 48,123 1,234 rows set aside" in page.text


def test_the_overview_has_every_alert_in_order(page: Page, content: AlertPage) -> None:
    """Each alert has a row with its rank, score, amount at stake and first reason."""
    rows = page.tables["The most unusual accounts first; an account leads to its evidence"][1:]
    expected = []
    for one in content.alerts:
        amounts = [row.amount for row in one.transactions if row.is_suspicious]
        name = f"{one.account_id} little history" if one.cold else one.account_id
        total = money(sum(amounts), "USD")
        figures = [score(one.account_score), str(len(amounts)), total]
        expected.append([str(one.rank), name, *figures, one.reasons[0].text])
    assert rows == expected


def test_every_reason_is_shown_with_its_numbers(page: Page, content: AlertPage) -> None:
    """Sentence, observed, expected, odds and share of each reason, of accounts and transactions."""
    for one in content.alerts:
        rows = page.tables[f"Why account {one.account_id} is flagged"][1:]
        assert rows == [shown(reason) for reason in one.reasons]
        suspicious = [row for row in one.transactions if row.is_suspicious]
        detailed = page.tables[f"Evidence of each transaction of account {one.account_id}"][1:]
        assert [row[-5:] for row in detailed] == [
            shown(reason) for row in suspicious for reason in row.reasons
        ]
        assert [row[0] for row in detailed if len(row) == 6] == ["1", "2", "3"]


def test_every_transaction_is_shown_with_its_values(page: Page, content: AlertPage) -> None:
    """The time line has all transactions in order, the suspicious ones with their numbers."""
    for one in content.alerts:
        rows, number = [], 0
        for row in one.transactions:
            number += row.is_suspicious
            reasons = ", ".join(reason.evidence for reason in row.reasons) or "\N{EN DASH}"
            rows.append(
                [
                    str(number) if row.is_suspicious else "",
                    instant(row.event_time),
                    money(row.amount, row.currency),
                    row.counterparty,
                    *row.details.values(),
                    score(row.anomaly_score),
                    reasons,
                    row.transaction_id,
                ]
            )
        assert time_line(page, one) == rows
        compared = next(rows for name, rows in page.tables.items() if name.endswith(one.account_id))
        ids = [row[-1] for row in compared if len(row) > 1][1:]
        assert ids == [row.transaction_id for row in one.transactions if row.is_suspicious] + [
            row.transaction_id for row in one.nearest_normal
        ]


def test_scores_are_set_against_what_sufficed() -> None:
    """Both lie on one scale for all alerts, and both are said in words."""
    alerts = (
        replace(alert(1), account_score=4.0, sufficient_score=3.0),
        replace(alert(2), account_score=3.5, sufficient_score=3.0),
    )
    page = Page(render_alert_page(replace(full_page(), alerts=alerts)))
    styles = [attrs.get("style") for _, attrs in page.tags if attrs.get("class") == "mark-at"]
    fills = [attrs.get("style") for _, attrs in page.tags if attrs.get("class") == "fill"]
    assert styles == ["left:75.0%"] * 2
    assert fills == ["width:100.0%", "width:87.5%"]
    assert "4.0000 score, where 3.0000 sufficed" in page.text


def test_an_account_with_little_history_is_marked(page: Page, content: AlertPage) -> None:
    """Only cold accounts are said to be judged by their peers."""
    assert [one.cold for one in content.alerts] == [False, False, True]
    assert page.text.count("Little history: compared with its peers.") == 1


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_text_of_the_data_is_text(page: Page, payload: str) -> None:
    """Markup and formulas in any field change no tag, and are shown as they are."""
    hostile = Page(render_alert_page(full_page(payload)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in page.tags]
    assert [attrs.keys() for _, attrs in hostile.tags] == [attrs.keys() for _, attrs in page.tags]
    assert hostile.text.count(payload) == page.text.count("word") > 100
    if set(payload) & set("<>\"'&"):
        assert payload not in hostile.html


def test_the_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    """No tag, attribute or style refers to anything outside the file, and the policy forbids it."""
    assert not FETCHING_TAGS & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in {"src", "href", "xlink:href", "srcset", "action"} & attrs.keys():
            assert attrs[name].startswith("#")
    assert not re.search(r"url\(|@import|expression\(", page.styles)
    (policy,) = [attrs for _, attrs in page.tags if "http-equiv" in attrs]
    assert policy["content"].startswith("default-src 'none'")


@pytest.mark.parametrize("content", [full_page(), without_alerts()], ids=["full", "none"])
def test_the_page_is_accessible(content: AlertPage) -> None:
    """Tags nest, links lead somewhere, tables are named, figures have words, headings descend."""
    page = Page(render_alert_page(content))
    tags = [tag for tag, _ in page.tags]
    assert page.tags[0] == ("html", {"lang": "en"})
    assert tags.count("table") == tags.count("caption") == len(page.tables)
    scopes = {attrs["scope"] for tag, attrs in page.tags if tag == "th"}
    assert scopes <= {"row", "col", "rowgroup"}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"}
    assert links <= set(ids)
    assert {f"alert-{place}" for place in range(1, len(content.alerts) + 1)} <= links
    names = {attrs["aria-labelledby"] for tag, attrs in page.tags if tag == "svg"}
    assert names <= set(ids)
    assert len(names) == len(content.alerts)
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    """The same content gives the same file, in place of an earlier one; another gives another."""
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text("an earlier page")
        write_alert_page(tmp_path / name, full_page())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render_alert_page(full_page())
    assert render_alert_page(full_page("other")) != render_alert_page(full_page())


def test_a_day_without_alerts_says_so() -> None:
    """The headline and the list both say that there is nothing, and no alert is drawn."""
    page = Page(render_alert_page(without_alerts()))
    assert "No alerts among 812 accounts on 2020-07-01" in page.text
    assert "No account was flagged on 2020-07-01: there is nothing to look into." in page.text
    assert page.anchors == ["alerts", "about"]


def test_a_day_without_transactions_is_not_praised() -> None:
    """Where nothing was scored the page does not claim that all is well."""
    empty = replace(without_alerts(), num_transactions=0, num_accounts=0, num_cold=0)
    page = Page(render_alert_page(empty))
    assert "No transaction was scored on 2020-07-01, so there can be no alerts." in page.text
    assert "nothing to look into" not in page.text


def test_an_alert_of_nothing_but_a_score_is_shown() -> None:
    """An alert without reasons and transactions says what it lacks."""
    bare = Alert(
        account_id="bare",
        rank=1,
        account_score=0.9,
        sufficient_score=0.8,
        cold=True,
        num_known=0,
        reasons=(),
        transactions=(),
    )
    page = Page(render_alert_page(replace(full_page(), alerts=(bare,))))
    assert "1 alert among 812 accounts on 2020-07-01" in page.text
    assert "No reasons came with this alert." in page.text
    assert "None by itself." in page.text
    assert "None is known." in page.text


def test_reasons_are_not_said_twice() -> None:
    """Where the only suspicious transaction has the reasons of its account, they stand once."""
    one = alert(num_suspicious=1)
    (suspicious,) = [row for row in one.transactions if row.is_suspicious]
    same = replace(one, reasons=suspicious.reasons)
    page = Page(render_alert_page(replace(full_page(), alerts=(same,))))
    assert not [name for name in page.tables if name.startswith("Evidence of each")]
    page = Page(render_alert_page(replace(full_page(), alerts=(one,))))
    assert [name for name in page.tables if name.startswith("Evidence of each")]


def test_long_time_lines_keep_what_matters() -> None:
    """Early normal transactions are counted instead of shown; those that a table needs stay."""
    one = alert(num_normal=MAX_TIME_LINE + 60, num_suspicious=2)
    page = Page(render_alert_page(replace(full_page(), alerts=(one,))))
    ids = [row[-1] for row in time_line(page, one)]
    near = [row.transaction_id for row in one.nearest_normal]
    normal = [row.transaction_id for row in one.transactions if not row.is_suspicious]
    suspicious = [row.transaction_id for row in one.transactions if row.is_suspicious]
    assert near == normal[:3]
    assert set(ids) == {*near, *suspicious, *normal[-MAX_TIME_LINE:]}
    assert "; 57 earlier ones are left out" in page.text
    tags = [tag for tag, _ in page.tags]
    assert tags.count("circle") == MAX_TIME_LINE + 3


def test_a_large_day_stays_a_few_megabytes() -> None:
    """Fifty alerts with long histories fit into a page that a browser opens at once."""
    page = full_page(num_alerts=50, num_normal=2 * MAX_TIME_LINE)
    assert len(render_alert_page(page).encode()) < 6_000_000


def test_amounts_of_several_currencies_are_not_added() -> None:
    """Each currency has its own sum."""
    one = alert(num_suspicious=2)
    first, second = (row for row in one.transactions if row.is_suspicious)
    mixed = (replace(first, amount=1.0), replace(second, amount=2.5, currency="EUR"))
    page = Page(render_alert_page(replace(full_page(), alerts=(replace(one, transactions=mixed),))))
    assert "2.50 EUR + 1.00 USD in 2 suspicious transactions" in page.text
    assert "Amount (several currencies)" in page.text


def test_an_amount_that_is_not_finite_is_refused() -> None:
    """The message names the column, and no value."""
    (first, *_) = alert().transactions
    with pytest.raises(
        DataError, match=r"column .amount.: expected a finite number, got one that is not"
    ):
        replace(first, amount=float("nan"))


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """What the disk refuses is told as one line."""
    with pytest.raises(PublishError, match="cannot write the alerts") as caught:
        write_alert_page(tmp_path / "none" / f"{DAY}.html", without_alerts())
    assert "\n" not in str(caught.value)

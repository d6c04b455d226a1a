"""The alerts of a day as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recsys.files import replace
from recsys.fraud.report import timeline, wording
from recsys.fraud.report.content import AlertPage
from recsys.fraud.report.views import MAX_TIME_LINE, alert_views
from recsys.publishing.runs import disk_errors
from recsys.reporting import formats
from recsys.reporting.tables import fact_table
from recsys.reporting.templates import page_templates

_TEMPLATES = page_templates(Path(__file__).parent)


def write_alert_page(path: Path, page: AlertPage) -> None:
    """Write the page of a day's alerts; a file of this name is replaced.

    The page makes no network requests and needs no script. The same content gives the same bytes
    with the same version of Jinja.

    Args:
        path: The HTML file, in a folder that exists.
        page: What to show.

    Raises:
        PublishError: The file cannot be written.
    """
    html = render_alert_page(page)
    with disk_errors(path, "cannot write the alerts", remedy="make room or name another folder"):
        replace(path, html.encode())


def render_alert_page(page: AlertPage) -> str:
    """The HTML of the page."""
    return _TEMPLATES.get_template("alerts.html.jinja").render(
        page=page,
        headline=wording.headline(page),
        tiles=_tiles(page),
        alerts=alert_views(page),
        facts=fact_table("Scoring", _facts(page)),
        quarantined=fact_table(
            "Rows that were set aside unscored, by reason",
            {name: formats.count(rows) for name, rows in page.quarantined.items()},
        ),
        day=f"{page.day:%Y-%m-%d}",
        max_time_line=MAX_TIME_LINE,
        plot=timeline,
    )


def _tiles(page: AlertPage) -> Mapping[str, tuple[str, str]]:
    """Figures in large print with what stands below them."""
    suspicious = [one for alert in page.alerts for one in alert.transactions if one.is_suspicious]
    cold = sum(alert.cold for alert in page.alerts)
    aside = sum(page.quarantined.values())
    return {
        "Alerts": (
            formats.count(len(page.alerts)),
            f"{formats.percent(_part(len(page.alerts), page.num_accounts))} of the accounts",
        ),
        "Suspicious transactions": (
            formats.count(len(suspicious)),
            wording.total(suspicious) if suspicious else "",
        ),
        "Accounts with little history": (
            formats.count(page.num_cold),
            f"{formats.count(cold)} among the alerts",
        ),
        "Transactions scored": (
            formats.count(page.num_transactions),
            f"{wording.counted(aside, 'row')} set aside" if aside else "",
        ),
    }


def _facts(page: AlertPage) -> Mapping[str, str]:
    facts = {
        "rule": page.rule,
        "day": f"{page.day:%Y-%m-%d}, UTC",
        "accounts": formats.count(page.num_accounts),
        "transactions": formats.count(page.num_transactions),
        "data": page.data,
        "model": page.bundle_id,
    }
    return {name: value for name, value in facts.items() if value}


def _part(number: int, whole: int) -> float:
    return number / whole if whole else 0.0

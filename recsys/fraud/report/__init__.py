"""The page of a day's alerts: one HTML file that an analyst works through."""

from recsys.fraud.report.content import Alert, AlertPage, AlertTransaction, Reason
from recsys.fraud.report.page import render_alert_page, write_alert_page

__all__ = [
    "Alert",
    "AlertPage",
    "AlertTransaction",
    "Reason",
    "render_alert_page",
    "write_alert_page",
]

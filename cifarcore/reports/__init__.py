"""The one home of every table and chart that is shown. Knows no page."""

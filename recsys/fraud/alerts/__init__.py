"""A day's result: which accounts become alerts, its tables, and the checks before it goes live."""

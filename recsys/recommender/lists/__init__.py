"""A list for every user: filters, search, the files, and the checks before they go live."""

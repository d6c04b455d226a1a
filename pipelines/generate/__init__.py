"""`recsys generate`: logs with a known truth, to try settings on."""

"""How good lists are: measures, baselines, and whether a new model may replace the live one."""

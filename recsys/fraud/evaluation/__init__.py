"""How good scores are: measures, baselines, and the benchmark."""

"""What late labels add: label rates, what is remembered for them, the meta-model."""

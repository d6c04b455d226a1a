"""What late labels add: evidence from labels, the memory that it needs, the meta-model."""

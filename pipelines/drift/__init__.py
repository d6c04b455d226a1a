"""The job that compares today's data with what a model was trained on."""

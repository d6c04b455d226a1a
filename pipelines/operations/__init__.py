"""Commands for whoever runs the jobs: what is live, going back, and telling MLflow what waits."""

"""Commands for operators: what is live, rollback, and delivery of waiting runs to MLflow."""

"""When jobs run: the schedule, and its forms for cron, systemd, Kubernetes and Dagster."""

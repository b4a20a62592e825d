"""CloudWatch Logs of the local runtime: what functions write, kept in memory, and its API."""

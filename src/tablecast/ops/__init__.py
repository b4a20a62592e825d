"""What an operator asks before and after a deployment: what it takes, what it costs, how late."""

"""Event source mapping engine: Lambda's poller as pure state machines (state + event + now -> actions)."""

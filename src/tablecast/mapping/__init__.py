"""Event source mappings: Lambda's poller as pure state machines."""

"""The Lambda API on this machine: functions, versions, aliases, layers, mappings, invocations."""

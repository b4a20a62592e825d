"""The local runtime: data services in a child process, functions as processes, mappings driven by us."""

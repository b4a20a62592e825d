"""The local runtime: data services, function processes and the mappings between them."""

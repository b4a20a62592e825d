"""The command line: the only place that puts the edges together, prints and exits."""

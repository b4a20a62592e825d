"""The demo: a pipeline as a user would write it, its data set and its ledger."""

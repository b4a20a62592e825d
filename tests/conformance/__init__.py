"""The conformance suite: one test a rule of AWS, named by the rule, citing its source."""

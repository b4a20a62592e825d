"""CloudFormation templates, run on this machine."""

"""What every AWS API that is answered here has in common: protocol, constraints, refusals."""

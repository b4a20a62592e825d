"""What the function shares with others."""

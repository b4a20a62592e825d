"""Lambda entry points; the only home of Powertools."""

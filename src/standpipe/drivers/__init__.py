"""The world: one folder per port, each with at least two real implementations."""

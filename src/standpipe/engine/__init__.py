"""The shell: the only code that waits; it owns no rule and names no driver."""

"""The rules: plain synchronous functions over values; no I/O, clock, chance or logging."""

"""Where logs are kept: in memory, and in SQLite."""

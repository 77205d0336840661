"""Who performs a tool call: functions of the user, and the search and read of the house."""

"""Model dialects, pure: items to a provider's request, a provider's bytes to items; one file per dialect."""

"""Where documents and memory are indexed and found."""

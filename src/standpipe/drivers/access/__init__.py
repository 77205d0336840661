"""Where relations and their revisions are kept and asked."""

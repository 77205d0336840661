"""The edge for programs: sessions, turns and their events over HTTP, loaded only by the verb serve."""

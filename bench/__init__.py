"""What Standpipe costs, measured side by side: `python -m bench NAME`; `make bench` writes RESULTS.md."""

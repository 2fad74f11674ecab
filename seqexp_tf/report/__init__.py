"""One HTML page that shows everything about a run."""

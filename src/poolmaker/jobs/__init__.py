"""The scheduled work, one row each."""

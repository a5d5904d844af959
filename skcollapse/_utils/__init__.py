"""Small helpers that every other room may use; no mathematics of the field."""

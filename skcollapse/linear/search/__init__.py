"""The choice of what is "auto", by the log-loss of held-out rows."""

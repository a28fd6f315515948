"""How long a test waits for what is sure to come."""

PATIENCE = 30.0
"""Seconds of silence that no busy machine lets pass: who cuts after so long cuts only what is silent on purpose."""

"""Desired against registered: a plan is a value. Pure; the same inputs give the same bytes."""

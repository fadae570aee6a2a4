"""Schedules as code for machine-learning pipelines: plan, apply and run what Git declares."""

__version__ = "0.1.0"

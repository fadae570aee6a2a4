"""The use cases: read a project, plan, apply, and what an operator does to single objects.

Each takes opened ports and values, decides nothing that a pure room could decide, and is the only
place where a plan meets a workspace that can be written.
"""

"""Who is told, where people review: GitHub and GitLab.

The law of this room: it says what a plan says and computes nothing about it. What somebody else
wrote reaches a comment only through the plan's own renderer. A token comes from the environment,
goes to one origin, and stands in no message.
"""

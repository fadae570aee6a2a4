"""Makes happen what the registry declares: tick, observe, launch, reap, and the loop around them.

Each part runs on the whole present state and may be repeated at any time; what was recorded before
it acted is what a restart goes by. Decisions are made in ``trigger`` and ``run``; this room carries
them out and is the one that logs.
"""

"""``reconciler demo``: (being written by another helper right now; leave it alone)."""

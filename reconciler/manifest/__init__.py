"""Manifests: YAML text to values and back, as pure functions.

The law of this room: nothing in a manifest raises. Every problem of every file is collected, each
as one line with the place it was found at and what to do about it. What a field is called, means
and accepts is declared once, beside the value (:mod:`reconciler.fields`); the builder, the JSON
Schema and the emitter all read that declaration, so they cannot disagree.
"""

"""When a schedule fires.

The law of this room: it is pure. An instant goes in, an instant or a decision comes out; nothing
here reads a clock, a file of the user's or a random number, so whatever the runner does at a fire
can be asked for beforehand and asked again afterwards. Times are always computed from the spec and
its anchor, never from an earlier fire, so nothing drifts and no answer depends on who asked before.

:mod:`.compile` turns a trigger into a :class:`.calendar.Calendar`; :mod:`.decide` decides what
became due; :mod:`.arrivals` does the same for files.
"""

"""Which commands there are, in the order and the groups of the help."""

from __future__ import annotations

SECTIONS = {
    "Start": {
        "init": "Write a new project that plans and runs at once.",
        "demo": "Show the whole path on real data, in a temporary folder.",
        "completion": "Print the completion script of a shell.",
    },
    "Change": {
        "validate": "Check every manifest and every reference.",
        "fmt": "Lay out manifests: key order, indentation, quotes; comments stay.",
        "render": "Print the manifests in their canonical form.",
        "plan": "Show what an apply would change; changes nothing.",
        "apply": "Make the workspace as declared.",
        "ci": "Plan, comment and apply in jobs of GitHub, GitLab or others.",
        "import": "Write manifests of live objects, and claim the objects.",
    },
    "Look": {
        "list": "List schedules, pipelines, experiments or datastores.",
        "show": "Show everything about one schedule, pipeline, datastore or run.",
        "drift": "Show what differs from what was applied last.",
        "history": "List the applies, or show one of them.",
        "next": "Print when a schedule is due next.",
        "explain": "Say why a schedule did, or did not, run: at a time, or for a file.",
        "simulate": "Replay a window of time with the runner's own rules.",
        "polls": "List the looks at watched files, and what they came to.",
        "runs": "List runs, newest first.",
        "logs": "Print what the steps of a run have written.",
        "alerts": "List what somebody should know, newest first.",
    },
    "Operate": {
        "run": "Run a schedule or a pipeline once, now.",
        "backfill": "Run a schedule for times that have passed.",
        "refire": "Run a schedule once more for files it knows.",
        "cancel": "Stop a run, or a backfill.",
        "hold": "Pause a schedule, with a reason and perhaps an end.",
        "release": "Lift a hold.",
        "disable": "Stop a schedule, or retire a pipeline version.",
        "enable": "Let a schedule fire, or a pipeline version run, again.",
        "pool": "List the pools, or say how many places one has.",
    },
    "Run": {
        "runner": "Fire schedules and run pipelines on this machine.",
        "get": "Copy the file that a run was made for, in one of its steps.",
        "doctor": "Check the workspace and this machine; changes nothing.",
        "backup": "Write the workspace to one file.",
        "restore": "Put a backup in the workspace's place.",
        "prune": "Delete what is old and over.",
        "workspace": "Look after the workspace's schema.",
    },
}

COMMANDS = {name: text for commands in SECTIONS.values() for name, text in commands.items()}


def help_text() -> str:
    """Write the help of the program as a whole."""
    width = max(map(len, COMMANDS))
    lines = [
        "Usage: reconciler [--debug] COMMAND [ARGS]...",
        "",
        "Schedules as code for machine-learning pipelines: plan, apply and run what Git declares.",
    ]
    for section, commands in SECTIONS.items():
        lines += ["", f"{section}:"]
        lines += [f"  {name:<{width}}  {text}" for name, text in commands.items()]
    lines += [
        "",
        "Options:",
        "  --version  Print the version.",
        "  --debug    Show the traceback of an internal error.",
        "  --help     Print this, or the help of a command: reconciler plan --help",
    ]
    return "\n".join(lines) + "\n"

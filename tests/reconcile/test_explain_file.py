"""One chain of evidence for every way in which a file does, or does not, make a schedule fire."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.clock import MINUTE, SECOND, parse_instant
from reconciler.data import DatastoreChange, Depth, FileChange, Initial
from reconciler.live import DisabledBy, Hold, Provenance, RegisteredSchedule
from reconciler.reconcile.explain_file import (
    BEGINNINGS,
    WAITING,
    Evidence,
    Present,
    Seen,
    explain_file,
)
from reconciler.reconcile.fate import Fate, Outcome
from reconciler.reconcile.looks import Standing
from reconciler.run import Decision, Fire, Run, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import LoggedChange, Poll, Watch, WatchState

NOW = parse_instant("2026-03-02T12:10:00Z")
LOOKED = "2026-03-02 12:06:00 UTC"
NEXT = "at 2026-03-02 12:11:00 UTC"
KNOWN = b'3 "a" 1'
OTHER = b'4 "b" 2'


def schedule(**fields):
    made = RegisteredSchedule(
        id="s", name="arrivals", spec="{}", pipeline_id=None, status=Status.ACTIVE,
        disabled_by=None, owner=None, provenance=Provenance(), created_at=0, updated_at=0, revision=1,
    )  # fmt: skip
    return replace(made, **fields)


def trigger(**fields):
    return DatastoreChange(**{"datastore": "landing", "path_on_datastore": "in", **fields})


def poll(seq=7, **fields):
    made = Poll(
        watch_id=1, poll_seq=seq, polled_at=NOW - 4 * MINUTE, listed=9, state=WatchState.READY,
        next_poll=NOW + MINUTE,
    )  # fmt: skip
    return replace(made, **fields)


def standing(state="ready", last=None, existing=False, next_poll=NOW + MINUTE, **fields):
    watch = Watch(
        id=1, watched=trigger().watched, poll_seq=7, change_seq=9, next_poll=next_poll,
        state=WatchState.BASELINING if state == "baselining" else WatchState.READY,
        failures=0, place="", schedule_ids=("s",), existing=existing,
    )  # fmt: skip
    return Standing(watch=watch, state=state, last=last or poll(), **fields)


def evidence(**fields):
    made = Evidence(
        here=schedule(), trigger=trigger(), now=NOW, asked="x.csv", path=b"in/x.csv", name=b"x.csv",
        standing=standing(), known=KNOWN, first=poll(1), present=Present(facts=KNOWN),
    )  # fmt: skip
    return replace(made, **fields)


def failing(state="ready"):
    return standing(state, failing_since=NOW - MINUTE, error="in: no such directory")


def new(**fields):
    """A file that no look has taken down."""
    return evidence(known=None, **fields)


def line(change="added", seq=4, poll_seq=5, facts=KNOWN):
    return LoggedChange(
        watch_id=1, seq=seq, poll_seq=poll_seq, change=change, name=b"x.csv", facts=facts
    )


def seen(fate, why="", *, runs=(), waits="", polled_at=NOW - 9 * MINUTE, fire=None, **fields):
    return Seen(
        line=line(**fields),
        polled_at=polled_at,
        outcome=Outcome(fate, why, fire),
        runs=tuple(runs),
        waits=waits,
    )


def fire(decision=Decision.LAUNCH):
    return Fire(
        schedule_id="s", occurrence_key="d:1:4", due_at=NOW, decided_at=NOW - 8 * MINUTE,
        decision=decision, reason="x.csv was added", revision=1, run_id="12345678-9",
    )  # fmt: skip


def run(state, **fields):
    made = Run(
        id="12345678-9", schedule_id="s", schedule_name="arrivals", occurrence_key="d:1:4",
        pipeline_id="p", experiment_name="e", parameters={}, continue_on_step_failure=False,
        state=state, reason="", due_at=NOW, created_at=NOW,
    )  # fmt: skip
    return replace(made, **fields)


def fired(state=None, decision=Decision.LAUNCH, **fields):
    runs = [] if state is None else [run(state, **fields)]
    made = seen(Fate.FIRED, fire=fire(decision), runs=runs, waits="waits for its turn")
    return evidence(seen=(made,))


HELD = Hold(who="ann", why="audit", since=0)
CASES = [
    (evidence(registered=False), "no_datastore",
     "It did not fire: datastore 'landing' is not registered."),
    (evidence(path=None, name=None, asked="s3://other/x"), "other_datastore",
     "It did not fire: s3://other/x is not in datastore landing."),
    (evidence(name=None, path=b"out/x\n"), "elsewhere",
     "It did not fire: out/x%0A is not below landing/in, which is what is watched."),
    (evidence(name=b"sub/x", path=b"in/sub/x"), "below",
     ("It did not fire: in/sub/x lies in a directory below landing/in; "
     "`recursive: true` counts those.")),
    (evidence(trigger=trigger(file="y.csv")), "other_file",
     "It did not fire: in/x.csv is not the one file that is watched, in/y.csv."),
    (evidence(name=b"x.tmp"), "ignored", "It did not fire: ignore: *.tmp leaves it out."),
    (evidence(standing=None), "not_watched", "It did not fire: nothing looks for it."),
    (evidence(standing=None, here=schedule(status=Status.DISABLED, disabled_by=DisabledBy.MISSING)),
     "disabled", ("It did not fire: the schedule is Disabled, for its manifest is gone, "
     "so nothing looks for it.")),
    (new(standing=standing("baselining", next_poll=NOW)), "baselining",
     ("It has not fired yet: what lies there before the first complete look never does, "
     "and that one is due now.")),
    (new(standing=standing("baselining", existing=True), trigger=trigger(initial=Initial.TRIGGER)),
     "baselining", ("It has not fired yet: what lies there before the first complete look fires "
     f"then, and that one is due {NEXT}.")),
    (new(standing=failing("baselining")), "failing",
     ("It has not fired yet: what lies there before the first complete look never does, and "
     "looks fail since 2026-03-02 12:09:00 UTC: in: no such directory.")),
    # In a state that no look has taken down.
    (new(present=Present(facts=OTHER)), "not_looked",
     ("It has not fired yet: it was added and is not taken down yet: "
     f"the last look was at {LOOKED}, the next is due {NEXT}.")),
    (evidence(present=Present(facts=OTHER)), "not_looked",
     ("It has not fired yet: it was modified and is not taken down yet: "
     f"the last look was at {LOOKED}, the next is due {NEXT}.")),
    (evidence(present=Present(), trigger=trigger(changes=tuple(FileChange))), "not_looked",
     ("It has not fired yet: it was deleted and is not taken down yet: "
     f"the last look was at {LOOKED}, the next is due {NEXT}.")),
    (new(standing=replace(standing(), last=None)), "not_looked",
     ("It has not fired yet: it was added and is not taken down yet: "
     f"nobody has looked yet, the next is due {NEXT}.")),
    (new(trigger=trigger(min_size=4)), "ignored",
     "It did not fire: min_size: 4 leaves it out."),
    (new(here=schedule(status=Status.DISABLED)), "disabled",
     "It did not fire: the schedule is Disabled, so nothing looks for it."),
    (new(standing=failing("degraded")), "failing",
     ("It has not fired yet: it was added and is not taken down yet: "
     "looks fail since 2026-03-02 12:09:00 UTC: in: no such directory.")),
    (new(standing=standing(error="gone")), "failing",
     "It has not fired yet: it was added and is not taken down yet: looks fail: gone."),
    (new(trigger=trigger(done_marker="{name}.ok"), present=Present(facts=KNOWN, marked=False)),
     "waits_for_marker", ("It has not fired yet: it was added and is not taken down yet: "
     "it waits for its marker x.csv.ok.")),
    (new(trigger=trigger(settle=timedelta(seconds=10)), standing=standing(last=poll(waiting=1))),
     "settling", ("It has not fired yet: it was added and is not taken down yet: "
     f"poll 7 at {LOOKED} left 1 changed file to wait until seen unchanged for 10s; "
     f"the next look is due {NEXT}.")),
    (new(standing=standing(last=poll(waiting=2))), "settling",
     ("It has not fired yet: it was added and is not taken down yet: "
     f"poll 7 at {LOOKED} left 2 changed files to wait until seen unchanged; "
     f"the next look is due {NEXT}.")),
    # Known, and in no line of the log.
    (evidence(), "existing", ("It did not fire: it was there when the watch began, and has not "
     "changed since; only `initial: trigger` counts that.")),
    (evidence(trigger=trigger(initial=Initial.TRIGGER)), "existing",
     "It did not fire: it was there when the watch began, and has not changed since."),
    (evidence(trigger=trigger(initial=Initial.TRIGGER), standing=standing(existing=True)),
     "not_looked", ("It has not fired yet: the next look, which fires for what was there, is due "
     f"{NEXT}.")),
    (evidence(first=poll(3)), "pruned",
     (f"Nobody knows whether it fired: no change of it is logged since poll 3 at {LOOKED}, "
     "and what was before is not kept.")),
    (evidence(first=None), "existing", ("It did not fire: it was there when the watch began, and "
     "has not changed since; only `initial: trigger` counts that.")),
    # Neither known nor there.
    (new(present=Present()), "absent",
     "It did not fire: it is not there, and no look that is kept has seen it."),
    (new(present=Present(error="no key")), "unseen",
     f"It did not fire: no look has taken it down; the next is due {NEXT}."),
    (new(present=Present(error="no key"), trigger=trigger(done_marker="_OK")), "unseen",
     (f"It did not fire: no look has taken it down; the next is due {NEXT}; "
     "it counts once its marker _OK lies beside it.")),
    (new(present=Present(error="no key"), standing=failing()), "failing",
     ("It has not fired yet: no look has seen it, and looks fail since 2026-03-02 12:09:00 UTC: "
     "in: no such directory.")),
    # Logged.
    (evidence(seen=(seen(Fate.IGNORED, "min_size: 9"),)), "ignored",
     "It did not fire: min_size: 9 leaves it out."),
    (evidence(seen=(seen(Fate.UNDECIDED),)), "undecided",
     "It has not fired yet: a runner decides about it at its next pass."),
    (evidence(seen=(seen(Fate.UNDECIDED),), here=schedule(hold=HELD)), "held",
     ("It has not fired yet: the schedule is held by ann: audit; "
     "decided when that is over (catchup: skip).")),
    (evidence(seen=(seen(Fate.UNDECIDED),), here=schedule(hold=replace(HELD, until=NOW))),
     "undecided", "It has not fired yet: a runner decides about it at its next pass."),
    (evidence(seen=(seen(Fate.UNDECIDED),), here=schedule(status=Status.DISABLED)), "disabled",
     "It did not fire: the schedule is Disabled, so nothing looks for it."),
    (evidence(seen=(seen(Fate.EARLIER, "the schedule was created after it"),)), "earlier",
     "It did not fire: the schedule was created after it."),
    (evidence(seen=(seen(Fate.UNKNOWN, "it is not kept"),)), "unknown",
     "Nobody knows whether it fired: it is not kept."),
    (evidence(seen=(seen(Fate.SKIPPED, "overlap"),)), "skipped", "It did not fire: overlap."),
    (evidence(seen=(seen(Fate.PASSED_OVER, "held by ann"),)), "passed_over",
     "It did not fire: held by ann."),
    (fired(), "fired", ("It fired: launched at 2026-03-02 12:02:00 UTC, x.csv was added; "
     "its run is not kept any more.")),
    (fired(RunState.NOT_STARTED, Decision.QUEUE), "waiting",
     "It fired: run 12345678 has not started, it waits for its turn."),
    (fired(RunState.RUNNING, started_at=NOW - SECOND), "running",
     "It fired: run 12345678 is running since 2026-03-02 12:09:59 UTC."),
    (fired(RunState.FINISHED, ended_at=NOW), "finished",
     "It fired: run 12345678 finished at 2026-03-02 12:10:00 UTC."),
    (fired(RunState.FAILED, ended_at=NOW, reason="step a: 1"), "failed",
     "It fired: run 12345678 failed at 2026-03-02 12:10:00 UTC, step a: 1."),
    (fired(RunState.CANCELED, ended_at=NOW), "canceled",
     "It fired: run 12345678 canceled at 2026-03-02 12:10:00 UTC."),
]  # fmt: skip


@pytest.mark.parametrize(("found", "code", "answer"), CASES, ids=range(len(CASES)))
def test_the_last_link_of_the_chain_is_the_answer(found, code, answer):
    told = explain_file(found)
    assert (told.code, told.answer) == (code, answer)
    assert told.chain[-1].code == code
    assert all(link.text and link.step for link in told.chain)


def test_every_code_has_a_case():
    assert {code for _, code, _ in CASES} == BEGINNINGS.keys()
    assert BEGINNINGS.keys() > WAITING


def test_the_chain_names_every_link_in_order():
    ran = replace(fired(RunState.FINISHED, ended_at=NOW), present=Present(facts=KNOWN))
    steps = [(link.step, link.code) for link in explain_file(ran).chain]
    assert steps == [
        ("datastore", "registered"), ("place", "within"), ("filter", "counts"), ("watch", "ready"),
        ("log", "logged"), ("decision", "fired"), ("run", "finished"),
    ]  # fmt: skip
    texts = [link.text for link in explain_file(ran).chain]
    assert texts[3:6] == [
        f"the last look was at {LOOKED}",
        "poll 5 at 2026-03-02 12:01:00 UTC logged it as added, 3 bytes",
        "launched at 2026-03-02 12:02:00 UTC, x.csv was added",
    ]


def test_a_run_that_was_run_anew_is_told_by_its_last_try():
    runs = [run(RunState.FAILED), run(RunState.RUNNING, id="abcdefgh-1", started_at=NOW)]
    found = evidence(seen=(seen(Fate.FIRED, fire=fire(), runs=runs),))
    assert "run abcdefgh (try 2) is running" in explain_file(found).answer


def test_lines_that_are_for_other_schedules_are_passed_over_where_there_are_others():
    others = Seen(
        line=line("existing", seq=9), polled_at=None,
        outcome=Outcome(Fate.IGNORED, "other schedules asked to be told", for_others=True),
    )  # fmt: skip
    mine = seen(Fate.SKIPPED, "overlap")
    assert explain_file(evidence(seen=(others, mine))).code == "skipped"
    alone = explain_file(evidence(seen=(others,)))
    assert alone.answer == "It did not fire: other schedules asked to be told."
    assert alone.chain[-2].text == "poll 5 logged it as existing, 3 bytes"


def test_a_deleted_file_has_no_size():
    gone = seen(Fate.IGNORED, "changes: added", change="deleted")
    texts = [link.text for link in explain_file(evidence(known=None, seen=(gone,))).chain]
    assert texts[3].startswith("the last look")
    found = evidence(known=None, seen=(gone,), present=Present())
    assert explain_file(found).chain[-2].text.endswith("logged it as deleted")


def test_what_a_mount_changes_is_no_other_state():
    known, now = b"3 17@5", b"3 17@6"
    found = evidence(known=known, present=Present(facts=now))
    assert explain_file(found).code == "existing"


def test_after_a_new_beginning_what_was_logged_before_stands():
    found = evidence(
        known=None, present=Present(), standing=standing("baselining"), seen=(seen(Fate.SKIPPED, "x"),)
    )  # fmt: skip
    assert explain_file(found).code == "skipped"
    assert explain_file(replace(found, present=Present(facts=KNOWN))).code == "baselining"


@pytest.mark.parametrize(
    ("found", "store"),
    [
        (evidence(), "it is there now with 3 bytes, as it is known"),
        (evidence(present=Present(facts=b'1 "b" 2')),
         f"it is there now with 1 byte, not looked at since {LOOKED}; the next look is due {NEXT}"),
        (evidence(present=Present()), "it is not there now"),
        (evidence(present=Present(error="no key")), "no key"),
        (evidence(standing=None), "it is there now with 3 bytes"),
    ],
)  # fmt: skip
def test_the_store_is_asked_what_it_has_now(found, store):
    assert explain_file(found).store == store


def test_a_tree_has_files_below_and_a_single_file_its_own():
    tree = evidence(trigger=trigger(recursive=True), name=b"sub/x", path=b"in/sub/x")
    assert tree.trigger.watched.depth is Depth.TREE
    assert explain_file(tree).code == "existing"
    assert explain_file(evidence(trigger=trigger(file="x.csv"))).code == "existing"

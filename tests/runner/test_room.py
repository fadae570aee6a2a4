"""Room on a machine: nothing is taken twice, and the big one is not kept waiting for ever."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.pipeline import Resources, Step
from reconciler.runner.room import Amounts, Room, needs

SMALL, BIG = Amounts(1, 1_000), Amounts(1, 4_000)


def test_a_step_needs_a_place_and_what_it_declares():
    step = Step(name="s", command=("x",), resources=Resources(cpus=0.5, memory="2Gi", gpus=1))
    assert needs(step) == (1, 500, 2 << 30, 1)
    assert str(needs(step)) == "cpus 0.5, memory 2 GiB, gpus 1"
    assert needs(Step(name="s", command=("x",))) == (1, 0, 0, 0)


def test_what_is_taken_is_taken():
    room = Room(Amounts(2, 4_000), [SMALL])
    assert room.places == 1
    assert room.take(Amounts(1, 3_000))
    assert not room.take(Amounts(1))
    assert room.places == 0


def test_more_may_be_taken_than_there_is_where_a_machine_has_shrunk():
    room = Room(Amounts(1, 1_000), [BIG, BIG])
    assert room.places == 0
    assert not room.take(SMALL)


def test_what_the_first_refused_one_needs_is_kept_for_it():
    room = Room(Amounts(8, 4_000), [SMALL])
    assert not room.take(BIG)
    assert not room.take(SMALL)  # although three processors are free
    assert room.take(Amounts(1))  # it needs nothing that the big one waits for


def test_a_small_one_takes_what_the_big_one_leaves():
    room = Room(Amounts(8, 6_000, 100, 0), [Amounts(1, 0, 100)])
    assert not room.take(Amounts(1, 4_000, 50))
    assert room.take(Amounts(1, 2_000))


def test_nothing_is_kept_for_what_never_fits():
    room = Room(Amounts(8, 2_000))
    assert not room.take(BIG)
    assert room.take(SMALL)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_never_more_is_handed_out_than_there_is(asked):
    room, taken = Room(Amounts(8, 6, 9, 0)), [0, 0, 0]
    for cpus, memory in asked:
        if room.take(Amounts(1, cpus, memory)):
            taken = [taken[0] + 1, taken[1] + cpus, taken[2] + memory]
    assert taken[0] <= 8
    assert taken[1] <= 6
    assert taken[2] <= 9

"""(scratch) bugs found by reading"""
import gc
import pytest
from qserver.broker import timers, view
from qserver.broker.checkpoint import checkpoint
from qserver.broker.queue import Queue, Settings
from qserver.config import Limits
from qserver.errors import NewerFormat, RequestError
from tests.unit.broker.bench import Bench, BenchClient, WALL


def test_session_and_lease_due_at_once():
    for _ in range(20):
        b = Bench()
        c = b.join("s", grace=5)
        for i in range(5): b.put()
        b.get(count=5, lease=5, client=c)
        b.leave(c)
        b.after(5)
        assert [b.state(i) for i in range(1, 6)] == ["ready"] * 5

def test_sessions_share_the_budget():
    b = Bench()
    for name in "abcde":
        c = b.join(name, grace=1)
        for i in range(10): b.put()
        b.get(count=10, lease=500, client=c)
        b.leave(c)
    b.stall(2)
    assert b.tick(budget=10)
    assert b.broker.counters.losses <= 10
    n = 1
    while b.tick(budget=10): n += 1
    assert b.broker.counters.losses == 50
    assert n <= 8, n
    assert not b.broker.sessions

def test_fair_over_queues():
    b = Bench()
    w1 = b.wait("a"); w2 = b.wait("a", "b")
    b.put("a"); b.put("b"); b.serve()
    assert w1.got == [[(1, 1)]] and w2.got == [[(2, 2)]]

def ids(b, q="q", after=0, count=10000):
    return [m.id for m in view.list_messages(b.broker, q, states=None, key=None, count=count, after=after).rows]

def test_list_after_when_tail_is_empty():
    b = Bench()
    for _ in range(512): b.put()
    assert ids(b, after=100) == list(range(101, 513))

def test_no_duplicate_in_list():
    b = Bench()
    b.put("a")
    for to in ("b", "a"):
        b.nack(*b.get("a", "b"), dead=True)
        b.redrive("a" if to == "b" else "b", to=to)
    assert ids(b, "a") == [1]

def test_insert_only_bounded():
    b = Bench()
    for _ in range(5000):
        b.put("a")
        b.nack(*b.get("a"), dead=True)
        b.redrive("a", to="b")
        b.ack(*b.get("b"))
    assert len(b.broker.queues["b"].index) < 3000

def test_ids_not_reused():
    b = Bench(reserve=1000)
    for _ in range(10): b.put()
    assert b.rebuilt(lost=5).put() > 10

def test_checkpoint_reserve():
    b = Bench(reserve=1000)
    b.put(); b.get()
    c = b.rebuilt()
    c.lines.clear()
    checkpoint(c.broker)
    d = c.rebuilt()
    assert d.put() > 1
    assert d.get()[0][1] > 1

def test_redriven_behind():
    b = Bench()
    b.configure(requeue="back")
    b.put(); b.put()
    b.nack(*b.get(), dead=True)
    b.redrive()
    r = b.rebuilt()
    b.put(); r.put()
    assert b.ids() == [2, 1, 3]
    assert r.ids() == [2, 1, 3]

def test_counters_after_restart():
    b = Bench()
    b.put(); b.nack(*b.get(), dead=True)
    assert b.rebuilt().broker.counters.deads == 0

def test_backoff():
    s = Settings(backoff=1, backoff_factor=1.01, backoff_max=300)
    assert s.backoff_s(301) == pytest.approx(1.01**300)
    assert s.backoff_s(10**9) == 300
    assert Settings(backoff_factor=100, backoff_max=1e9).backoff_s(10**6) == 1e9
    assert Settings(backoff=0, backoff_factor=100).backoff_s(10**6) == 0

def test_far():
    b = Bench()
    b.put(at=253_370_764_800.0)
    b.after(86400)
    assert b.state(1) == "delayed"

def test_refused_creates_no_queue():
    b = Bench(limits=Limits(memory_bytes_max=10))
    for options in ({}, {"key": "k"}):
        with pytest.raises(RequestError): b.put(**options)
        assert not b.broker.queues

@pytest.mark.parametrize("moved", [-3600.0, 3600.0])
def test_clock_leases(moved):
    b = Bench()
    b.put(); b.get(lease=30)
    timers.clock_checked(b.broker, b.now, b.broker.wall(b.now) + moved)
    r = b.rebuilt()
    assert r.message(1).deadline == pytest.approx(b.now + 30, abs=0.01)

def test_dropped_queue_freed():
    b = Bench()
    gc.collect()
    def count(): 
        gc.collect(); return sum(isinstance(o, Queue) for o in gc.get_objects())
    before = count()
    for n in range(10):
        b.put("x"); b.put("x", ttl=1); b.after(2)
        b.drop("x")
    assert count() == before

def test_ttl_of_stalled():
    b = Bench()
    b.put(ttl=1); b.put()
    b.stall(2)
    assert b.ids() == [2]

def test_unknown_setting():
    b = Bench()
    b.configure(lease=1)
    b.lines[-1] = b.lines[-1].replace(b"lease", b"colour")
    with pytest.raises(NewerFormat): b.rebuilt()

def test_waiting_counts():
    b = Bench()
    b.wait("a", "b")
    assert view.stats(b.broker)["waiting"] == 1

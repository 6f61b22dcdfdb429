"""One thread for all computing: order, exceptions, closing, forking, and no references left behind."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from models.engines.transformers.engine_thread import EngineThread, engine_thread


class Big:
    """Stands for a model."""


@pytest.fixture
def thread():
    return EngineThread()


def test_everything_runs_on_the_same_other_thread(thread):
    def where():
        yield threading.get_ident()

    names = {thread.run(threading.get_ident) for _ in range(5)} | set(thread.stream(where))
    assert len(names) == 1
    assert names != {threading.get_ident()}
    assert thread.run(threading.current_thread).name == "engine"


def test_a_job_may_run_another(thread):
    assert thread.run(lambda: thread.run(lambda: 5)) == 5


def test_the_exception_of_a_job_is_raised_and_the_thread_lives_on(thread):
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 / 0)
    with pytest.raises(SystemExit):
        thread.run(exit)
    assert thread.run(lambda: 1) == 1


def test_items_come_before_the_exception(thread):
    def three():
        yield from "abc"
        raise ValueError("after three")

    seen = []
    with pytest.raises(ValueError, match="after three"):
        seen.extend(thread.stream(three))
    assert seen == ["a", "b", "c"]


def test_after_the_exception_the_stream_is_over(thread):
    def failing():
        raise ValueError("at once")
        yield

    stream = thread.stream(failing)
    with pytest.raises(ValueError, match="at once"):
        next(stream)
    assert list(stream) == []


class Counter:
    """Yields numbers for ever, and remembers how many and whether it was closed."""

    def __init__(self):
        self.made = 0
        self.closed = threading.Event()

    def items(self):
        try:
            while True:
                time.sleep(0.01)
                self.made += 1
                yield self.made
        finally:
            self.closed.set()


def test_closing_stops_within_one_item(thread):
    counter = Counter()
    stream = thread.stream(counter.items)
    assert [next(stream) for _ in range(3)] == [1, 2, 3]
    stream.close()
    made = counter.made
    thread.run(lambda: None)  # the thread is free again
    assert counter.closed.is_set()
    assert counter.made - made <= 1
    assert list(stream) == []


def test_an_abandoned_stream_is_closed(thread):
    counter = Counter()
    stream = thread.stream(counter.items)
    next(stream)
    del stream
    gc.collect()
    assert counter.closed.wait(2)


def test_a_stream_that_was_never_read_does_not_start(thread):
    counter = Counter()
    thread.stream(counter.items).close()
    thread.run(lambda: None)
    assert counter.made == 0


def test_closing_runs_cleanup_with_generator_exit(thread):
    reasons = []

    def items():
        try:
            yield 1
            yield 2
        except GeneratorExit:
            reasons.append("closed")
            raise

    stream = thread.stream(items)
    next(stream)
    stream.close()
    thread.run(lambda: None)
    assert reasons in (["closed"], [])  # it may have made both items before it was closed


def test_no_reference_is_kept_after_an_exception(thread):
    watched = []

    def failing():
        big = Big()
        watched.append(weakref.ref(big))
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    def failing_stream():
        failing()
        yield

    with pytest.raises(ValueError, match="outer") as caught:
        thread.run(failing)
    with pytest.raises(ValueError, match="outer"):
        list(thread.stream(failing_stream))
    assert [ref() for ref in watched] == [None, None]
    assert "in failing" in caught.value.__notes__[0]


def test_no_reference_is_kept_after_results(thread):
    big = thread.run(Big)
    ref = weakref.ref(big)
    del big
    thread.run(lambda: None)
    assert ref() is None


def test_there_is_one_thread_a_process():
    assert engine_thread() is engine_thread()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_gets_its_own():
    engine_thread().run(lambda: None)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if engine_thread().run(os.getpid) == os.getpid() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_computed_does_not_hold_up_the_end_of_the_process():
    busy = "engine_thread().stream(lambda: (time.sleep(0.01) for _ in iter(int, 1)))"
    code = f"import time; from models.engines.transformers.engine_thread import engine_thread; next({busy})"
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0

"""The server's time, measured from the `Date` header of the last response."""

from fake_clock import START, FakeClock

from pyannote_voiceprint_async.transport.server_clock import ServerClock

DATE = {"Date": "Thu, 01 Jan 1970 00:16:40 GMT"}


def test_before_the_first_response_it_is_the_clock_of_this_machine(clock):
    server_clock = ServerClock(clock)
    assert (server_clock.is_known, server_clock.now()) == (False, (START, START))


def test_the_date_of_a_response_advances_with_the_clock_and_has_whole_seconds(clock):
    server_clock = ServerClock(clock)
    server_clock.record(DATE, clock.time(), clock.wall())
    clock.jump(30.0)
    assert (server_clock.is_known, server_clock.now()) == (True, (1030.0, 1031.0))


def test_a_wall_clock_that_was_set_widens_the_range():
    class Adjusted(FakeClock):
        offset = 0.0

        def wall(self) -> float:
            return super().wall() + self.offset

    clock = Adjusted()
    server_clock = ServerClock(clock)
    server_clock.record(DATE, clock.time(), clock.wall())
    clock.jump(10.0)
    clock.offset = 5.0
    assert server_clock.now() == (1010.0, 1016.0)


def test_a_response_without_a_valid_date_leaves_the_time_unknown(clock):
    server_clock = ServerClock(clock)
    server_clock.record(DATE, clock.time(), clock.wall())
    server_clock.record({"Date": "soon"}, clock.time(), clock.wall())
    assert (server_clock.is_known, server_clock.now()) == (False, (START, START))

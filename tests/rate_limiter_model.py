"""A simulation of servers with the API's documented rate limits, and of clients that send through a scheduler.

All times that a test chooses are multiples of a quarter of a second. Their sums are exact, so that the windows of a
server begin at exact times.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from pyannote_voiceprint_async import RateLimiter, RateLimits
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest, PermitState
from pyannote_voiceprint_async.ratelimit.scheduler import PermitScheduler

TOTAL = 60.0
"""Seconds after sending in which the server may still see a lost request (`Timeouts.total`)."""


class RateLimitResponse(NamedTuple):
    """The rate-limit headers of a response, and the requested wait of a 429."""

    limit: int | None
    remaining: int | None
    wait: float | None = None


class Server:
    """Admits `limit` requests per window of `per` seconds. Refused requests do not count.

    Args:
        limit: requests per window.
        per: seconds.
        sends_headers: whether responses have `X-RateLimit-Limit` and `X-RateLimit-Remaining`.
    """

    def __init__(self, limit: int, per: float = 60.0, *, sends_headers: bool = True) -> None:
        self.limit = limit
        self.per = per
        self.sends_headers = sends_headers
        self.admitted: deque[float] = deque()

    def is_over(self, seen: float, now: float) -> bool:
        """Return whether a request received at `seen` has left the window by now."""
        raise NotImplementedError

    def opens_at(self) -> float:
        """Return when the next request is admitted."""
        raise NotImplementedError

    def see(self, now: float) -> RateLimitResponse:
        """Admit or refuse one request."""
        while self.admitted and self.is_over(self.admitted[0], now):
            self.admitted.popleft()
        limit = self.limit if self.sends_headers else None
        if len(self.admitted) >= self.limit:
            return RateLimitResponse(limit, 0 if self.sends_headers else None, self.opens_at() - now)
        self.admitted.append(now)
        return RateLimitResponse(limit, self.limit - len(self.admitted) if self.sends_headers else None)


class SlidingServer(Server):
    """Counts the requests of the last `per` seconds."""

    def is_over(self, seen: float, now: float) -> bool:
        return seen + self.per <= now

    def opens_at(self) -> float:
        return self.admitted[-self.limit] + self.per


class FixedServer(Server):
    """Starts a new window every `per` seconds, the first one at `phase`."""

    def __init__(self, limit: int, per: float = 60.0, *, sends_headers: bool = True, phase: float = 0.0) -> None:
        super().__init__(limit, per, sends_headers=sends_headers)
        self.phase = phase

    def is_over(self, seen: float, now: float) -> bool:
        return self._window(seen) < self._window(now)

    def opens_at(self) -> float:
        return (self._window(self.admitted[-1]) + 1) * self.per + self.phase

    def _window(self, now: float) -> float:
        return (now - self.phase) // self.per


class SimulatedOutcome(Enum):
    """The outcome of a simulated request."""

    ANSWERED = "its response arrives"
    LOST = "its response never arrives; the server may see it up to `TOTAL` after sending"
    UNSENT = "no byte of it is sent"


@dataclass(frozen=True)
class Request:
    """One simulated request."""

    requested_at: float
    to_server: float | None = 0.0
    """Seconds from sending until the server sees it; None for a lost request that the server never sees."""
    to_client: float = 0.0
    """Seconds from the server to the response; for a lost request, from sending until the loss is noticed."""
    outcome: SimulatedOutcome = SimulatedOutcome.ANSWERED
    patience: float = float("inf")
    """Seconds after which it is cancelled, if it still waits."""
    operation: str = "submissions"
    program: int = 0
    """The number of the program that sends it."""

    @property
    def in_flight(self) -> float:
        """Seconds from sending until its slot is free."""
        return self.to_client + (self.to_server or 0.0 if self.outcome is SimulatedOutcome.ANSWERED else 0.0)


class What(Enum):
    """An event of a request."""

    ASKED = "asked"
    GRANTED = "granted"
    LEFT = "left while it waited"
    REFUSED = "refused"
    ANSWERED = "answered"
    LOST = "lost"
    UNSENT = "unsent"


ENDS = {What.ANSWERED, What.LOST, What.UNSENT}


class Entry(NamedTuple):
    """An event of a request: its time, kind, and the index of the request."""

    at: float
    what: What
    index: int


@dataclass
class History:
    """All events of a simulation, in order."""

    requests: Sequence[Request]
    schedulers: Sequence[PermitScheduler]
    """One scheduler per program."""
    log: list[Entry] = field(default_factory=list)
    pauses: dict[int, float] = field(default_factory=dict)
    """The end of the requested pause of each refusal, by its position in the log."""
    expected: dict[int, float] = field(default_factory=dict)
    """The expected wait of each request when it requested its permit."""
    remaining: dict[int, int | None] = field(default_factory=dict)
    """The `X-RateLimit-Remaining` of each response, by request."""

    @property
    def scheduler(self) -> PermitScheduler:
        """The scheduler of the first program."""
        return self.schedulers[0]

    def all(self, *what: What) -> list[Entry]:
        return [entry for entry in self.log if entry.what in what]

    def times(self, what: What) -> dict[int, float]:
        """Return the time of the last event of this kind, by request."""
        return {entry.index: entry.at for entry in self.all(what)}


class _Simulation:
    """One run; see `simulate`."""

    def __init__(self, history: History, servers: Mapping[str, Server]) -> None:
        self.history = history
        self.schedulers = history.schedulers
        self.servers = servers
        self.now = 0.0
        self.permits: dict[int, PermitRequest] = {}
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._most = 1000 + 100 * len(history.requests)

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self) -> None:
        while (wake := self._next_at()) is not None or self._events:
            assert len(self.history.log) <= self._most, "the simulation does not end"
            if wake is not None and (not self._events or wake <= self._events[0][0]):
                assert wake > self.now, "the timer of the client would spin"
                self.now = wake
                for scheduler in self.schedulers:
                    scheduler.grant_waiting(self.now)
            else:
                self.now, _, action = heapq.heappop(self._events)
                action()

    def _next_at(self) -> float | None:
        times = [scheduler.next_grant_at(self.now) for scheduler in self.schedulers]
        return min((when for when in times if when is not None), default=None)

    def _scheduler(self, index: int) -> PermitScheduler:
        return self.schedulers[self.history.requests[index].program]

    def request(self, index: int) -> None:
        request, scheduler = self.history.requests[index], self._scheduler(index)
        self.history.expected[index] = scheduler.expected_wait(request.operation, self.now)
        self._note(What.ASKED, index)
        # A request that is granted at once is recorded below, so `notify` must not record it too.
        permit = scheduler.request(request.operation, self.now, lambda _: index in self.permits and self._grant(index))
        self.permits[index] = permit
        if permit.state is PermitState.GRANTED:
            self._grant(index)
        elif request.patience < float("inf"):
            self.at(self.now + request.patience, lambda: self._cancel_if_waiting(index))

    def _note(self, what: What, index: int) -> None:
        self.history.log.append(Entry(self.now, what, index))

    def _cancel_if_waiting(self, index: int) -> None:
        if self.permits[index].state in {PermitState.WAITING_FOR_PERMIT, PermitState.WAITING_FOR_SLOT}:
            self._note(What.LEFT, index)
            self._scheduler(index).cancel(self.permits[index], self.now)

    def _grant(self, index: int) -> None:
        self._note(What.GRANTED, index)
        request, sent = self.history.requests[index], self.now
        server = self.servers[request.operation]
        match request.outcome:
            case SimulatedOutcome.ANSWERED:
                self.at(sent + (request.to_server or 0.0), lambda: self._reach_server(index))
            case SimulatedOutcome.LOST:
                if request.to_server is not None:
                    self.at(sent + request.to_server, lambda: server.see(self.now))
                self.at(sent + request.to_client, lambda: self._lose(index, sent + TOTAL))
            case SimulatedOutcome.UNSENT:
                self.at(sent + request.to_client, lambda: self._never_send(index))

    def _reach_server(self, index: int) -> None:
        request = self.history.requests[index]
        response = self.servers[request.operation].see(self.now)
        self.at(self.now + request.to_client, lambda: self._receive(index, response))

    def _receive(self, index: int, response: RateLimitResponse) -> None:
        permit = self.permits[index]
        if response.wait is None:
            self._note(What.ANSWERED, index)
            self.history.remaining[index] = response.remaining
            self._scheduler(index).record_response(permit, self.now, response.limit, response.remaining)
        else:
            self.history.pauses[len(self.history.log)] = self.now + response.wait
            self._note(What.REFUSED, index)
            self._scheduler(index).record_refusal(permit, self.now, response.wait, response.limit)

    def _lose(self, index: int, deadline: float) -> None:
        self._note(What.LOST, index)
        self._scheduler(index).record_no_response(self.permits[index], self.now, deadline)

    def _never_send(self, index: int) -> None:
        self._note(What.UNSENT, index)
        self._scheduler(index).cancel(self.permits[index], self.now)


def simulate(
    requests: Sequence[Request],
    server: Server | Mapping[str, Server],
    *,
    rate_limits: RateLimits | None = None,
    max_concurrency: int = 64,
    foreign: Iterable[float] = (),
    later_limit: tuple[float, int] | None = None,
    programs: int = 1,
) -> History:
    """Send requests through schedulers to servers until no event is left.

    Args:
        requests: the requests.
        server: the server of submissions, or one server per operation.
        rate_limits: as for `RateLimiter`; None is its default.
        max_concurrency: as for `RateLimiter`.
        foreign: the times at which the server of submissions sees requests of other programs of the key.
        later_limit: a time, and the limit of the server of submissions from then on.
        programs: the number of schedulers; see `Request.program`.
    """
    servers = server if isinstance(server, Mapping) else {"submissions": server}
    schedulers = [RateLimiter(max_concurrency, rate_limits or RateLimits()).scheduler for _ in range(programs)]
    history = History(requests, schedulers)
    simulation = _Simulation(history, servers)
    for when in foreign:
        simulation.at(when, lambda: servers["submissions"].see(simulation.now))
    if later_limit is not None:
        when, limit = later_limit
        simulation.at(when, lambda: setattr(servers["submissions"], "limit", limit))
    for index, request in enumerate(requests):
        simulation.at(request.requested_at, lambda index=index: simulation.request(index))
    simulation.run()
    return history

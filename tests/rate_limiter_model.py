"""Rate limits as the API describes them, and requests that go to them through a throttle, in made-up time.

Times are multiples of a quarter of a second wherever a test chooses them: sums of them are exact, so that a
server's window begins exactly where the arithmetic says.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from pyannote_voiceprint_async import RateLimiter, RateLimits
from pyannote_voiceprint_async.ratelimit.wait_queue import PermitState
from pyannote_voiceprint_async.ratelimit.window import PermitRequest

TOTAL = 60.0
"""Seconds after the sending in which the server may see a request that is lost (`Timeouts.total`)."""


class Word(NamedTuple):
    """What the server says to a request: its headers, and the wait of a 429."""

    limit: int | None
    remaining: int | None
    wait: float | None = None


class Server:
    """Admits `limit` requests in a window of `per` seconds. Those that it refuses do not count.

    Args:
        limit: requests in a window.
        per: seconds.
        speaks: whether answers carry `X-RateLimit-Limit` and `X-RateLimit-Remaining`.
    """

    def __init__(self, limit: int, per: float = 60.0, *, speaks: bool = True) -> None:
        self.limit = limit
        self.per = per
        self.speaks = speaks
        self.admitted: deque[float] = deque()

    def is_over(self, seen: float, now: float) -> bool:
        """Whether a request seen then has left the window by now."""
        raise NotImplementedError

    def opens_at(self) -> float:
        """When there is a place again."""
        raise NotImplementedError

    def see(self, now: float) -> Word:
        """Admit or refuse one request."""
        while self.admitted and self.is_over(self.admitted[0], now):
            self.admitted.popleft()
        if len(self.admitted) >= self.limit:
            return Word(self.limit if self.speaks else None, 0 if self.speaks else None, self.opens_at() - now)
        self.admitted.append(now)
        return Word(self.limit, self.limit - len(self.admitted)) if self.speaks else Word(None, None)


class SlidingServer(Server):
    """Any `per` seconds are a window."""

    def is_over(self, seen: float, now: float) -> bool:
        return seen + self.per <= now

    def opens_at(self) -> float:
        return self.admitted[-self.limit] + self.per


class FixedServer(Server):
    """A window begins every `per` seconds, at `phase` for the first time."""

    def __init__(self, limit: int, per: float = 60.0, *, speaks: bool = True, phase: float = 0.0) -> None:
        super().__init__(limit, per, speaks=speaks)
        self.phase = phase

    def is_over(self, seen: float, now: float) -> bool:
        return self._window(seen) < self._window(now)

    def opens_at(self) -> float:
        return (self._window(self.admitted[-1]) + 1) * self.per + self.phase

    def _window(self, now: float) -> float:
        return (now - self.phase) // self.per


class RequestOutcome(Enum):
    """How the sending of a request ends."""

    ANSWERED = "its answer comes"
    LOST = "its answer never comes; the server may see it up to `TOTAL` after the sending"
    UNSENT = "no byte of it left"


@dataclass(frozen=True)
class Request:
    """One request of ours."""

    asks_at: float
    to_server: float | None = 0.0
    """Seconds from the sending until the server sees it; None is never, for one that is lost."""
    to_client: float = 0.0
    """Seconds until the answer is here, after the server saw it; until the loss is noticed, after the sending."""
    fate: RequestOutcome = RequestOutcome.ANSWERED
    patience: float = float("inf")
    """Seconds after which it leaves, if it still waits then."""
    budget: str = "submissions"
    program: int = 0
    """Which of several programs sends it."""

    @property
    def in_flight(self) -> float:
        """Seconds from the sending until its slot is free."""
        return self.to_client + (self.to_server or 0.0 if self.fate is RequestOutcome.ANSWERED else 0.0)


class What(Enum):
    """What can happen to a request."""

    ASKED = "asked"
    GRANTED = "granted"
    LEFT = "left while it waited"
    REFUSED = "refused"
    ANSWERED = "answered"
    LOST = "lost"
    UNSENT = "unsent"


ENDS = {What.ANSWERED, What.LOST, What.UNSENT}


class Entry(NamedTuple):
    """Something that happened to a request: when, what, and its index."""

    at: float
    what: What
    index: int


@dataclass
class History:
    """All that happened, in order."""

    requests: Sequence[Request]
    throttles: Sequence[RateLimiter]
    """One for each program."""
    log: list[Entry] = field(default_factory=list)
    pauses: dict[int, float] = field(default_factory=dict)
    """For each refusal, by its position in the log: the time until which the server wants nothing."""
    expected: dict[int, float] = field(default_factory=dict)
    """For each request: how long it was told to wait when it asked."""
    remaining: dict[int, int | None] = field(default_factory=dict)
    """For each request that was answered: what `X-RateLimit-Remaining` said."""

    @property
    def throttle(self) -> RateLimiter:
        """The one of the first program."""
        return self.throttles[0]

    def all(self, *what: What) -> list[Entry]:
        return [entry for entry in self.log if entry.what in what]

    def times(self, what: What) -> dict[int, float]:
        """For each request: when this happened to it last."""
        return {entry.index: entry.at for entry in self.all(what)}


class _Simulation:
    """One run; see `simulate`."""

    def __init__(self, history: History, servers: Mapping[str, Server]) -> None:
        self.history = history
        self.throttles = history.throttles
        self.servers = servers
        self.now = 0.0
        self.turns: dict[int, PermitRequest] = {}
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._most = 1000 + 100 * len(history.requests)

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self) -> None:
        while (wake := self._next_at()) is not None or self._events:
            assert len(self.history.log) <= self._most, "requests go round in circles"
            if wake is not None and (not self._events or wake <= self._events[0][0]):
                assert wake > self.now, "the one timer of the transport would spin"
                self.now = wake
                for throttle in self.throttles:
                    throttle.advance(self.now)
            else:
                self.now, _, action = heapq.heappop(self._events)
                action()

    def _next_at(self) -> float | None:
        times = [throttle.next_at(self.now) for throttle in self.throttles]
        return min((when for when in times if when is not None), default=None)

    def _throttle(self, index: int) -> RateLimiter:
        return self.throttles[self.history.requests[index].program]

    def ask(self, index: int) -> None:
        request, throttle = self.history.requests[index], self._throttle(index)
        self.history.expected[index] = throttle.expected_wait(request.budget, self.now)
        self._note(What.ASKED, index)
        # Who is granted at once sees it in the turn's stage: the call must not count twice.
        turn = throttle.ask(request.budget, self.now, lambda _: index in self.turns and self._grant(index))
        self.turns[index] = turn
        if turn.stage is PermitState.GRANTED:
            self._grant(index)
        elif request.patience < float("inf"):
            self.at(self.now + request.patience, lambda: self._lose_patience(index))

    def _note(self, what: What, index: int) -> None:
        self.history.log.append(Entry(self.now, what, index))

    def _lose_patience(self, index: int) -> None:
        if self.turns[index].stage in {PermitState.WAITS_FOR_PLACE, PermitState.WAITS_FOR_SLOT}:
            self._note(What.LEFT, index)
            self._throttle(index).leave(self.turns[index], self.now)

    def _grant(self, index: int) -> None:
        self._note(What.GRANTED, index)
        request, sent = self.history.requests[index], self.now
        server = self.servers[request.budget]
        match request.fate:
            case RequestOutcome.ANSWERED:
                self.at(sent + (request.to_server or 0.0), lambda: self._be_seen(index))
            case RequestOutcome.LOST:
                if request.to_server is not None:
                    self.at(sent + request.to_server, lambda: server.see(self.now))
                self.at(sent + request.to_client, lambda: self._be_lost(index, sent + TOTAL))
            case RequestOutcome.UNSENT:
                self.at(sent + request.to_client, lambda: self._be_unsent(index))

    def _be_seen(self, index: int) -> None:
        request = self.history.requests[index]
        word = self.servers[request.budget].see(self.now)
        self.at(self.now + request.to_client, lambda: self._hear(index, word))

    def _hear(self, index: int, word: Word) -> None:
        turn = self.turns[index]
        if word.wait is None:
            self._note(What.ANSWERED, index)
            self.history.remaining[index] = word.remaining
            self._throttle(index).answered(turn, self.now, word.limit, word.remaining)
        else:
            self.history.pauses[len(self.history.log)] = self.now + word.wait
            self._note(What.REFUSED, index)
            self._throttle(index).refused(turn, self.now, word.wait, word.limit)

    def _be_lost(self, index: int, until: float) -> None:
        self._note(What.LOST, index)
        self._throttle(index).lost(self.turns[index], self.now, until)

    def _be_unsent(self, index: int) -> None:
        self._note(What.UNSENT, index)
        self._throttle(index).leave(self.turns[index], self.now)


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
    """Let requests go through a throttle to a server, until nothing happens any more.

    Args:
        requests: ours.
        server: the budget's server, or one for each budget.
        rate_limits: as for `RateLimiter`; None is its default.
        max_concurrency: as for `RateLimiter`.
        foreign: when another program's requests, of the same key, are seen by the server of the submissions.
        later_limit: a time, and the limit that the server of the submissions has from then on.
        programs: how many throttles there are; see `Request.program`.
    """
    servers = server if isinstance(server, Mapping) else {"submissions": server}
    throttles = [RateLimiter(max_concurrency, rate_limits or RateLimits()) for _ in range(programs)]
    history = History(requests, throttles)
    simulation = _Simulation(history, servers)
    for when in foreign:
        simulation.at(when, lambda: servers["submissions"].see(simulation.now))
    if later_limit is not None:
        when, limit = later_limit
        simulation.at(when, lambda: setattr(servers["submissions"], "limit", limit))
    for index, request in enumerate(requests):
        simulation.at(request.asks_at, lambda index=index: simulation.ask(index))
    simulation.run()
    return history

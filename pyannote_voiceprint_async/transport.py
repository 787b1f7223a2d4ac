"""The send ladder. Each rung adds one thing.

`send` opens the way → `_send_repeating` repeats what may be repeated → `_send_throttled` waits for a place and a slot
→ `_exchange` makes one request of it, and settles the place whatever happens.

The only place that speaks HTTP: aiohttp's exceptions hold the request's headers and its URL, so they end here,
in `_translate`, and are raised anew from nowhere.
"""

import asyncio
import copy
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from . import answers, rate_headers
from .answers import Answer, Fate, Flaw
from .bodies import JsonBody, UploadBody
from .budget import Stage
from .clock import Clock, deadline
from .endpoints import Endpoint
from .errors import (
    ApiTimeoutError,
    ClientClosedError,
    QueueTooLongError,
    RateLimitError,
    VoiceprintError,
)
from .models import JobCreated
from .retry import Attempted, exponential, repeating
from .settings import RetryPolicy, Timeouts
from .throttle import Throttle, Turn
from .translate import NEVER_CONNECTED, TRANSLATED, translate
from .version import __version__
from .waits import Waits, wake

__all__ = ["Call", "Transport"]

log = logging.getLogger("pyannote_voiceprint_async")

A = TypeVar("A")
C = TypeVar("C", bound=Attempted)
R = TypeVar("R")

# Common servers close an idle connection after 5 s. Ours goes first, so that a submission is rarely written
# into a connection that is about to close: nobody could say then whether it was read.
_KEEPALIVE = 4.0
_USER_AGENT = f"pyannote-voiceprint-async/{__version__}"
_LONG_PAUSE = 10.0
_REMEMBERED = 1000
_LONGEST_STORAGE_ANSWER = 64 * 1024


class Call:
    """One call on its way down the ladder."""

    __slots__ = (
        "before_send", "began_at", "body", "deadline", "endpoint", "first_byte_at", "future", "retries", "url",
        "withdrawn",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: Endpoint[Any],
        url: URL,
        body: bytes | None,
        before_send: Callable[[], Awaitable[None]] | None,
        deadline: float | None,
    ) -> None:
        self.endpoint = endpoint
        self.url = url
        self.body = body
        self.before_send = before_send
        self.deadline = deadline
        self.began_at: float | None = None
        self.first_byte_at: float | None = None
        self.retries = 0
        self.withdrawn = False
        self.future: asyncio.Future[None] | None = None

    @property
    def began(self) -> bool:
        """Whether the first byte of this try has left: the server may have seen it."""
        return self.began_at is not None

    def notify(self, error: VoiceprintError | None) -> None:
        """Wake the caller: its turn has come, or will not come."""
        wake(self.future, copy.copy(error))


class Transport:
    """Everything between a method of the client and the wire.

    Args:
        key: the API key.
        base_url: where the API is.
        throttle: who may send now; clients of one key may share it.
        retry: what is repeated, and how.
        timeouts: how long one request may take.
        proxy: an HTTP proxy; None is that of the environment.
        session: the user's own session, or None.
        clock: time.
        waits: everything that merely waits.
    """

    def __init__(  # noqa: PLR0913 - put together in one place, `client.py`, by keyword
        self,
        *,
        key: str,
        base_url: str,
        throttle: Throttle,
        retry: RetryPolicy,
        timeouts: Timeouts,
        proxy: str | None,
        session: aiohttp.ClientSession | None,
        clock: Clock,
        waits: Waits,
    ) -> None:
        self.requests = self.retries = self.rate_limited = 0
        self.abandoned: deque[JobCreated] = deque(maxlen=_REMEMBERED)
        self.throttle = throttle
        self._key = key
        self._base_url = URL(base_url.rstrip("/"))
        self._retry = retry
        self._timeouts = timeouts
        self._proxy = proxy
        self._clock = clock
        self._waits = waits
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "User-Agent": _USER_AGENT,
        }
        self._timeout = aiohttp.ClientTimeout(total=timeouts.total, connect=timeouts.connect, sock_read=timeouts.read)
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=timeouts.connect, sock_read=timeouts.upload_stall
        )
        self._urls: dict[str, URL] = {}
        self._api_proxy = self._proxy_for(self._base_url)
        self._session = session
        self._own_sessions: list[aiohttp.ClientSession] = []
        self._bare_session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Any = None
        self._background: set[asyncio.Task[Any]] = set()
        self._closed: ClientClosedError | None = None
        self._send_repeating = self.repeating(self._send_throttled)

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed is not None

    @property
    def opened(self) -> bool:
        """Whether there is a session of our own that must be closed."""
        return bool(self._own_sessions)

    async def send(  # noqa: PLR0913 - the one door of the ladder
        self,
        endpoint: Endpoint[A],
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        before_send: Callable[[], Awaitable[None]] | None = None,
        max_queue_wait: float | None = None,
        deadline: float | None = None,
        once: bool = False,
    ) -> A:
        """Make a call: wait for its turn, send it, repeat it where that does no harm, read its answer.

        Args:
            endpoint: what is asked.
            path: what is filled into the path, already quoted.
            query: what is asked for in the query.
            body: the JSON to be sent.
            before_send: awaited when place and slot are there, before the first byte of each try.
            max_queue_wait: seconds; a longer queue is refused at once.
            deadline: on the client's clock; a request that has not begun by then is not sent any more. One
                that has begun is never interrupted by it.
            once: do not repeat it; a 429 is waited for all the same.

        Raises:
            VoiceprintError: any of the tree but `JobError`, `MediaError` and `WebhookError`.
        """
        self.enter()
        if max_queue_wait is not None:
            self._refuse_long_queue(endpoint, max_queue_wait)
        call = Call(endpoint, self._url(endpoint, path, query), body, before_send, deadline)
        send = self._send_throttled if once else self._send_repeating
        try:
            return await send(call)  # type: ignore[no-any-return]  # the table says which answer it is
        finally:
            self.retries += call.retries

    def repeating(self, send: Callable[[C], Awaitable[R]]) -> Callable[[C], Awaitable[R]]:
        """Wrap a function so that it repeats what may be repeated, by the client's policy and clock."""
        return repeating(send, policy=self._retry, clock=self._clock, sleep=self._waits.sleep)

    def enter(self) -> None:
        """Make sure that the client may be used here and now.

        Raises:
            ClientClosedError: it is closed, or belongs to another event loop.
        """
        if self._closed is not None:
            raise ClientClosedError(
                "This client is closed. Make a new one, or close it later: in a service, when the service shuts "
                "down (FastAPI: in its lifespan)."
            )
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise ClientClosedError(
                "This client belongs to another event loop. Make one client inside each asyncio.run(), or one in "
                "the lifespan of a service; in a notebook, make it in a cell and await it in the cells after it."
            )

    def close(self) -> None:
        """Let nothing new begin, and end what merely waits."""
        if self._closed is None:
            self._closed = ClientClosedError(
                "The client was closed while this call was waiting; nothing of it is under way."
            )
            self._waits.end(self._closed)

    async def aclose(self) -> None:
        """Let submissions that were sent finish, and close our own connections."""
        self.close()
        while self._background:
            await asyncio.wait(self._background)
        if self._timer is not None:
            self._timer.cancel()
        while self._own_sessions:
            await self._own_sessions.pop().close()

    # The ladder

    async def _send_throttled(self, call: Call) -> Any:
        """Wait for a place and a slot. The wait of a 429 belongs here too: the turn keeps its number."""
        self.enter()
        self._refuse_long_pause(call.endpoint)
        turn = self.throttle.ask(call.endpoint.budget, self._clock.time(), call.notify)
        while True:
            await self._until_granted(call, turn)
            try:
                if call.endpoint.repeatable:
                    return await self._exchange(call, turn)
                return await self._exchange_to_the_end(call, turn)
            except RateLimitError:
                if turn.stage is Stage.OVER:
                    raise

    async def _until_granted(self, call: Call, turn: Turn) -> None:
        if turn.stage is Stage.GRANTED:
            return
        try:
            call.future = self._waits.future()
            self._arm_timer()
            async with deadline(self._clock, call.deadline):
                await call.future
        except TimeoutError:
            self._leave(turn)
            raise _too_late(call.endpoint) from None
        except BaseException:
            self._leave(turn)
            raise
        finally:
            call.future = None

    async def _exchange_to_the_end(self, call: Call, turn: Turn) -> Any:
        """Make an exchange that its caller may leave, but that does not end by that: it is a bill."""
        task = asyncio.create_task(self._exchange(call, turn))
        self._background.add(task)
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not call.began:
                call.withdrawn = True
                task.cancel()
            task.add_done_callback(lambda _: self._take_in(task, turn))
            raise
        except BaseException:
            self._background.discard(task)
            raise
        self._background.discard(task)
        return answer

    def _take_in(self, task: asyncio.Task[Any], turn: Turn) -> None:
        """Keep what came of an exchange whose caller has gone."""
        self._background.discard(task)
        self._leave(turn)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            self.abandon(task.result())
        elif getattr(error, "outcome_unknown", False):
            log.warning("A submission whose caller had gone ended without an answer. %s", error)

    def abandon(self, job: JobCreated) -> None:
        """Keep a job whose caller has gone: it is paid for."""
        self.abandoned.append(job)
        log.warning("Job %s was accepted, but its caller had gone. It is kept in client.abandoned.", job.job_id)

    async def _exchange(self, call: Call, turn: Turn) -> Any:
        """Make one request, read one answer, and settle the turn whatever happens."""
        call.began_at = None
        try:
            if call.before_send is not None:
                await call.before_send()
            answer = await self._speak(call)
        except BaseException:
            self._settle_without_answer(call, turn)
            raise
        return self._settle(call, turn, answer)

    def _settle(self, call: Call, turn: Turn, answer: Answer) -> Any:
        limit = rate_headers.limit(answer.headers)
        if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
            left = rate_headers.remaining(answer.headers)
            self.throttle.answered(turn, self._clock.time(), limit, left)
            self._arm_timer()
        try:
            model = answers.read(call.endpoint, answer, wall=self._clock.wall(), key=self._key)
        except RateLimitError as error:
            self._settle_refused(call, turn, error, limit)
            raise
        if isinstance(model, JobCreated):
            log.info("Job %s was accepted.", model.job_id)
        return model

    def _settle_refused(self, call: Call, turn: Turn, error: RateLimitError, limit: int | None) -> None:
        self.rate_limited += 1
        now, budget = self._clock.time(), call.endpoint.budget
        wait = error.retry_after
        if wait is None:
            wait = exponential(self._retry, self.throttle.refusals(budget) + 1)
        if wait > max(_LONG_PAUSE, self.throttle.pause_left(budget, now)):
            log.warning("The API asks for a pause of %.0f s in %s.", wait, budget)
        self.throttle.refused(turn, now, wait, limit)
        if wait > self._retry.max_retry_after:
            self.throttle.leave(turn, now)
            self.throttle.dismiss(budget, error)
        self._arm_timer()

    def _settle_without_answer(self, call: Call, turn: Turn) -> None:
        now = self._clock.time()
        if call.began:
            # The server may still see it for as long as we would have waited for its answer.
            self.throttle.lost(turn, now, (call.began_at or now) + self._timeouts.total)
        else:
            self.throttle.leave(turn, now)
        self._arm_timer()

    def _leave(self, turn: Turn) -> None:
        self.throttle.leave(turn, self._clock.time())
        self._arm_timer()

    def _refuse_long_pause(self, endpoint: Endpoint[Any]) -> None:
        left = self.throttle.pause_left(endpoint.budget, self._clock.time())
        if left > self._retry.max_retry_after:
            raise RateLimitError(
                f"{endpoint.method} {endpoint.path} was not sent: the API wants no such request for another "
                f"{left:.0f} s. Try again then.",
                status=429,
                retryable=True,
                retry_after=left,
            )

    def _refuse_long_queue(self, endpoint: Endpoint[Any], max_queue_wait: float) -> None:
        wait = self.throttle.expected_wait(endpoint.budget, self._clock.time())
        if wait > max_queue_wait:
            raise QueueTooLongError(
                f"{endpoint.method} {endpoint.path} was not sent: it would wait about {wait:.0f} s for its turn in "
                f"the rate limit, and at most {max_queue_wait:.0f} s are allowed. Try again later.",
                expected_wait=wait,
            )

    def _arm_timer(self) -> None:
        """Let one timer wake all who wait, at the first moment at which anybody may go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self.throttle.next_at(self._clock.time())
        if when is not None and self._closed is None:
            self._timer = self._clock.call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.throttle.advance(self._clock.time())
        self._arm_timer()

    # One exchange

    async def _speak(self, call: Call) -> Answer:
        """Make one request and read its answer up to the operation's bound."""
        body = None if call.body is None else JsonBody(call.body, lambda: self._begin(call))
        if body is None:
            self._begin(call)
        self.requests += 1
        try:
            async with self._api_session().request(
                call.endpoint.method,
                call.url,
                data=body,
                headers=self._headers,
                timeout=self._timeout,
                proxy=self._api_proxy,
                allow_redirects=False,
                raise_for_status=False,
                # A middleware of a foreign session could send a submission twice.
                middlewares=(),
            ) as response:
                return await _read(response, call.endpoint.longest_answer)
        except TRANSLATED as exc:
            problem = self._problem(exc, call)
        # Raised out here, the error has no context: aiohttp's own would show the key.
        raise problem

    def _begin(self, call: Call) -> None:
        if call.withdrawn:
            # aiohttp writes in a task of its own, which may begin after ours was canceled.
            raise asyncio.CancelledError
        call.began_at = self._clock.time()
        if call.first_byte_at is None:
            call.first_byte_at = call.began_at

    def _problem(self, exc: Exception, call: Call) -> VoiceprintError:
        if call.body is None and isinstance(exc, NEVER_CONNECTED):
            call.began_at = None
        return self._closed or translate(
            exc,
            name=f"{call.endpoint.method} {call.endpoint.path}",
            host=self._base_url.host,
            fate=Fate.UNKNOWN if call.began else Fate.NEVER_SENT,
            repeatable=call.endpoint.repeatable,
        )

    async def put(
        self,
        url: str,
        *,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Answer:
        """Put a stream of known length to a presigned URL, through a bare session: the key stays here.

        Args:
            url: the presigned URL.
            size: bytes.
            chunks: gives the stream from its beginning, each time it is called.
            on_progress: called with the bytes sent and `size`.

        Raises:
            ApiConnectionError: the storage was not reached or did not answer.
            MediaError: whatever `chunks` raises comes as it is.
        """
        self.enter()
        body = UploadBody(chunks, size, self._timeouts.upload_stall, on_progress)
        target = URL(url, encoded=True)
        try:
            async with self._upload_session().put(
                target,
                data=body,
                headers={"Content-Length": str(size)},
                # The signature of the URL may cover the type; the official SDK sends none.
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                timeout=self._upload_timeout,
                proxy=self._proxy_for(target),
                allow_redirects=False,
            ) as response:
                return await _read(response, _LONGEST_STORAGE_ANSWER)
        except TRANSLATED as exc:
            problem = self._upload_problem(exc, body, target)
        raise problem

    def _upload_problem(self, exc: Exception, body: UploadBody, target: URL) -> Exception:
        if body.error is not None and not isinstance(body.error, TimeoutError):
            return body.error
        if body.error is not None:
            exc = body.error
        return self._closed or translate(exc, name="The upload", host=target.host, fate=Fate.UNKNOWN, repeatable=True)

    # Connections

    def _url(self, endpoint: Endpoint[Any], path: Mapping[str, str] | None, query: Mapping[str, str] | None) -> URL:
        if path is None and query is None:
            if (known := self._urls.get(endpoint.path)) is None:
                known = self._urls[endpoint.path] = URL(f"{self._base_url}{endpoint.path}")
            return known
        quoted = {name: quote(value, safe="") for name, value in (path or {}).items()}
        return URL(f"{self._base_url}{endpoint.path.format_map(quoted)}", encoded=True).with_query(query)

    def _api_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _upload_session(self) -> aiohttp.ClientSession:
        if self._bare_session is None:
            self._bare_session = self._new_session()
        return self._bare_session

    def _new_session(self) -> aiohttp.ClientSession:
        # No limit of the pool: the throttle's slots bound it, and know who is first in line.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._own_sessions.append(session)
        return session

    def _proxy_for(self, url: URL) -> str | None:
        """Give the proxy for an URL: the client's, else that of the environment. Never what is in .netrc."""
        if self._proxy is not None:
            return self._proxy
        if url.host is None or proxy_bypass(url.host):
            return None
        return getproxies().get(url.scheme)


async def _read(response: aiohttp.ClientResponse, longest: int) -> Answer:
    """Read an answer piece by piece, so that neither its length nor its compression decides what it costs."""
    body, flaw = bytearray(), None
    try:
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > longest:
                flaw = Flaw.TOO_LONG
                break
    except TimeoutError:
        flaw = Flaw.STALLED
    except (aiohttp.ClientError, OSError):
        flaw = Flaw.BROKE_OFF
    if flaw is not None:
        response.close()
    return Answer(response.status, response.headers, bytes(body), flaw)


def _too_late(endpoint: Endpoint[Any]) -> ApiTimeoutError:
    return ApiTimeoutError(
        f"{endpoint.method} {endpoint.path} was not sent: its time was over while it still waited for its turn "
        "in the rate limit. Allow more time, or ask for less at once.",
        retryable=True,
    )

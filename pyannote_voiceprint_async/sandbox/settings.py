"""The settings of a sandbox and their defaults."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import attrs

from pyannote_voiceprint_async.sandbox.clock import Now, anchored_clock
from pyannote_voiceprint_async.sandbox.faults import check_faults
from pyannote_voiceprint_async.sandbox.limits import Limit, WindowKind
from pyannote_voiceprint_async.sandbox.outputs import FailedOutput
from pyannote_voiceprint_async.sandbox.request_log import ReceivedRequest
from pyannote_voiceprint_async.sandbox.validation import MediaKeys
from pyannote_voiceprint_async.sandbox.validators import finite, not_negative, one_of, positive, to_range
from pyannote_voiceprint_async.sandbox.webhook_faults import check_webhook_faults
from pyannote_voiceprint_async.sandbox.webhook_signatures import SIGNATURES, SignatureForm


def _to_limit(value: Limit | tuple[int, float]) -> Limit:
    if isinstance(value, Limit):
        return value
    try:
        return Limit(*value)
    except TypeError:
        raise ValueError(f"A limit must be (requests, seconds), for example (100, 60.0), not {value!r}.") from None


def _to_delays(value: Iterable[float]) -> tuple[float, ...]:
    delays = tuple(float(delay) for delay in value)
    if not all(0 <= delay < math.inf for delay in delays):
        raise ValueError(f"Delays must be numbers of seconds, zero or more, not {value!r}.")
    return delays


def _to_path(value: str | PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)


# The settings hold read-only copies, because later changes of the mappings would have no effect.
def _to_faults(value: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(check_faults(value))


def _to_webhook_faults(value: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(check_webhook_faults(value))


@attrs.frozen(kw_only=True)
class Settings:
    """The behavior of a sandbox.

    Args:
        host: Address to listen on. The default is reachable from this machine only.
        port: Port to listen on; 0 selects a free port.
        api_key: The only valid API key.
        rate_limit: Limit of voiceprint submissions, of identification submissions, of media requests and of key tests,
            each on its own; a `Limit` or a tuple (requests, seconds).
        read_limit: The same for job reads and for job lists.
        window: Kind of rate-limit window: `sliding` (any span of that length), `fixed` (spans counted from the epoch)
            or `none` (no limit).
        shared_limit: Whether all operations share one window of `rate_limit`, job reads and job lists included.
        job_seconds: Duration of a job in seconds, or a random duration in a range (low, high).
        credit: Submissions that are accepted before the sandbox responds with 402; `None` is unlimited.
        latency: Seconds from a request to its response, or a range (low, high). A random part of them passes before the
            request is processed.
        faults: Probability of each fault of requests by name, as `{"server-error": 0.05}`. `FAULTS` describes them.
        seed: Seed of all random choices: faults, durations, latencies, faults of webhooks.
        output_seconds: Seconds for which a job keeps its output after its end.
        media_seconds: Seconds for which an uploaded file is kept.
        presigned_seconds: Whole seconds for which a presigned URL is valid.
        accept_late_seconds: Seconds from an `accept-late` request to the creation of its job.
        reset_header: Form of `X-RateLimit-Reset`: remaining seconds (`delta`) or epoch seconds (`epoch`).
        headers: Whether responses have `X-RateLimit-*` headers. A 429 always has `Retry-After`.
        media_keys: Valid media keys: `any` allows slashes and underscores, `flat` does not.
        chunked_put: Whether uploads without `Content-Length` are accepted.
        failed_output: Output of a failed job: an `error`, `null`, or `missing` (no field).
        webhook_secret: Secret with which webhooks are signed.
        webhook_signature: Encoding of the signature: `hex`, `base64` or `v0` (hex after `v0=`).
        webhook_timeout: Seconds to wait for the response of a webhook's receiver, on the event loop's clock, not `now`.
        webhook_retry_delays: Seconds from a failed attempt to the next, one number per retry.
        webhook_time_scale: Factor of the retry delays, so that a test need not wait for minutes.
        webhook_sign_anew: Whether each attempt has its own timestamp and signature, or those of the first attempt.
        webhook_failed_as: Status of a failed job in webhooks: `failed` or `canceled`.
        webhook_faults: Probability of each fault of a job's webhook by name. `WEBHOOK_FAULTS` describes them.
        store: File that keeps accepted jobs and uploads for another sandbox with the same file; `None` keeps nothing.
            Pending webhooks are not kept.
        on_request: Called with each `ReceivedRequest` before its response is sent; it must return at once.
        now: Returns the current time in UTC epoch seconds; tests pass a fake clock.
        sleep: Waits for latency, `accept-late` and webhooks; tests pass that of a fake clock.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = attrs.field(default="sandbox-key", repr=False, validator=attrs.validators.min_len(1))
    rate_limit: Limit = attrs.field(default=Limit(100, 60.0), converter=_to_limit)
    read_limit: Limit = attrs.field(default=Limit(300, 60.0), converter=_to_limit)
    window: WindowKind = attrs.field(default="sliding", validator=one_of("sliding", "fixed", "none"))
    shared_limit: bool = False
    job_seconds: tuple[float, float] = attrs.field(default=(1.0, 1.0), converter=to_range)
    credit: int | None = attrs.field(default=None, validator=not_negative)
    latency: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=to_range)
    faults: Mapping[str, float] = attrs.field(factory=dict, converter=_to_faults)
    seed: int = 0
    output_seconds: float = attrs.field(default=24 * 3600, validator=not_negative)
    media_seconds: float = attrs.field(default=24 * 3600, validator=not_negative)
    presigned_seconds: int = attrs.field(default=3600, validator=not_negative)
    accept_late_seconds: float = attrs.field(default=2.0, validator=not_negative)
    reset_header: Literal["delta", "epoch"] = attrs.field(default="delta", validator=one_of("delta", "epoch"))
    headers: bool = True
    media_keys: MediaKeys = attrs.field(default="any", validator=one_of("any", "flat"))
    chunked_put: bool = False
    failed_output: FailedOutput = attrs.field(default="error", validator=one_of("error", "null", "missing"))
    webhook_secret: str = attrs.field(default="sandbox-webhook-secret", repr=False)
    webhook_signature: SignatureForm = attrs.field(default="hex", validator=one_of(*SIGNATURES))
    webhook_timeout: float = attrs.field(default=10.0, validator=positive)
    webhook_retry_delays: tuple[float, ...] = attrs.field(default=(0.0, 60.0, 300.0), converter=_to_delays)
    webhook_time_scale: float = attrs.field(default=1.0, validator=finite)
    webhook_sign_anew: bool = True
    webhook_failed_as: Literal["failed", "canceled"] = attrs.field(
        default="failed", validator=one_of("failed", "canceled")
    )
    webhook_faults: Mapping[str, float] = attrs.field(factory=dict, converter=_to_webhook_faults)
    store: Path | None = attrs.field(default=None, converter=_to_path)
    on_request: Callable[[ReceivedRequest], object] | None = attrs.field(default=None, repr=False)
    now: Now = attrs.field(factory=anchored_clock, repr=False)
    sleep: Callable[[float], Awaitable[object]] = attrs.field(default=asyncio.sleep, repr=False)

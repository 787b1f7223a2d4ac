"""Every setting of a sandbox, with its default, in one place."""

import asyncio
import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, Literal, ParamSpec

import attrs

from pyannote_voiceprint_async.sandbox.clock import Now, anchored_clock
from pyannote_voiceprint_async.sandbox.faults import check_faults
from pyannote_voiceprint_async.sandbox.outputs import FailedOutput
from pyannote_voiceprint_async.sandbox.validation import MediaKeys
from pyannote_voiceprint_async.sandbox.webhook_faults import check_webhook_faults
from pyannote_voiceprint_async.sandbox.webhook_signatures import SIGNATURES, SignatureForm
from pyannote_voiceprint_async.sandbox.windows import Limit, WindowKind

_P = ParamSpec("_P")


def _to_limit(value: Limit | tuple[int, float]) -> Limit:
    return value if isinstance(value, Limit) else Limit(*value)


def _to_range(value: float | tuple[float, float]) -> tuple[float, float]:
    low, high = value if isinstance(value, tuple) else (value, value)
    if not 0 <= low <= high < math.inf:
        raise ValueError(f"Seconds must be a number or (low, high) with 0 <= low <= high, not {value!r}.")
    return float(low), float(high)


def _to_delays(value: Iterable[float]) -> tuple[float, ...]:
    delays = tuple(float(delay) for delay in value)
    if not all(0 <= delay < math.inf for delay in delays):
        raise ValueError(f"Delays must be numbers of seconds, zero or more, not {value!r}.")
    return delays


def _to_webhook_faults(value: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(check_webhook_faults(value))


def _to_faults(value: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(check_faults(value))


def _one_of(*names: str) -> Callable[[Any, "attrs.Attribute[str]", str], None]:
    def check(_instance: object, attribute: "attrs.Attribute[str]", value: str) -> None:
        if value not in names:
            raise ValueError(f"{attribute.name!r} must be one of {', '.join(names)}, not {value!r}.")

    return check


def _not_negative(_instance: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{attribute.name!r} must be zero or more, not {value!r}.")


def _finite(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name!r} must be a finite number, zero or more, not {value!r}.")


def _positive(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name!r} must be a positive number, not {value!r}.")


@attrs.frozen(kw_only=True)
class Settings:
    """How this sandbox behaves.

    Args:
        host: Address to listen on; the loopback unless told otherwise.
        port: Port to listen on; 0 takes a free one.
        api_key: The one key that is accepted.
        rate_limit: Requests that submissions, media and key tests take each; `Limit` or (requests, seconds).
        read_limit: The same for job reads and job lists each.
        window: `sliding` (any such span of time), `fixed` (spans counted from the epoch) or `none`.
        shared_budgets: All operations draw on one budget of `rate_limit`.
        job_seconds: How long a job takes, in seconds, or a (low, high) range to draw from.
        credit: Submissions that are accepted before 402; `None` is without end.
        latency: Seconds that an answer takes, or a range; some of it passes before the request is looked at.
        faults: Probability of each fault by name, see `FAULTS`.
        seed: Where all chance comes from: faults, durations, latencies, faults of webhooks.
        output_seconds: Seconds after its end for which a job keeps its output.
        media_seconds: Seconds for which an uploaded file is kept.
        presigned_seconds: Whole seconds for which an upload's URL is good.
        accept_late_seconds: Seconds between the loss of an `accept-late` request and its job.
        reset_header: `X-RateLimit-Reset` in seconds to go (`delta`) or in epoch seconds (`epoch`).
        headers: Whether answers carry X-RateLimit headers at all.
        media_keys: `any`, or `flat`: keys with a slash or an underscore are refused.
        chunked_put: Whether an upload may come without its length.
        failed_output: Output of a failed job: an `error`, `null`, or `missing`.
        webhook_secret: What webhooks are signed with.
        webhook_signature: How a signature is written: `hex`, `base64` or `v0` (`v0=` and hex).
        webhook_timeout: Seconds that a receiver has to answer; they pass on the event loop's clock, not on `now`.
        webhook_retry_delays: Seconds between a try that failed and the next one, for as many retries.
        webhook_time_scale: Factor of these delays, so that a test need not wait for minutes.
        webhook_sign_anew: Each retry has a timestamp and a signature of its own; otherwise those of the first try.
        webhook_failed_as: Status by which a webhook tells a failed job: `failed` or `canceled`.
        webhook_faults: Probability of each fault of a job's webhook by name, see `WEBHOOK_FAULTS`.
        store: File in which accepted jobs and uploads are kept, so that a sandbox that is started again with it still
            knows them; `None` keeps nothing. WebhookDispatcher that were still to come are not kept.
        now: The time as UTC epoch seconds; tests hand in their own.
        sleep: How the sandbox waits (for latency, `accept-late` and webhooks); tests hand in their own.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = attrs.field(default="sandbox-key", repr=False, validator=attrs.validators.min_len(1))
    rate_limit: Limit = attrs.field(default=Limit(100, 60.0), converter=_to_limit)
    read_limit: Limit = attrs.field(default=Limit(300, 60.0), converter=_to_limit)
    window: WindowKind = attrs.field(default="sliding", validator=_one_of("sliding", "fixed", "none"))
    shared_budgets: bool = False
    job_seconds: tuple[float, float] = attrs.field(default=(1.0, 1.0), converter=_to_range)
    credit: int | None = attrs.field(default=None, validator=_not_negative)
    latency: tuple[float, float] = attrs.field(default=(0.0, 0.0), converter=_to_range)
    faults: Mapping[str, float] = attrs.field(factory=dict, converter=_to_faults)
    seed: int = 0
    output_seconds: float = attrs.field(default=24 * 3600, validator=_not_negative)
    media_seconds: float = attrs.field(default=24 * 3600, validator=_not_negative)
    presigned_seconds: int = attrs.field(default=3600, validator=_not_negative)
    accept_late_seconds: float = attrs.field(default=2.0, validator=_not_negative)
    reset_header: Literal["delta", "epoch"] = attrs.field(default="delta", validator=_one_of("delta", "epoch"))
    headers: bool = True
    media_keys: MediaKeys = attrs.field(default="any", validator=_one_of("any", "flat"))
    chunked_put: bool = False
    failed_output: FailedOutput = attrs.field(default="error", validator=_one_of("error", "null", "missing"))
    webhook_secret: str = attrs.field(default="sandbox-webhook-secret", repr=False)
    webhook_signature: SignatureForm = attrs.field(default="hex", validator=_one_of(*SIGNATURES))
    webhook_timeout: float = attrs.field(default=10.0, validator=_positive)
    webhook_retry_delays: tuple[float, ...] = attrs.field(default=(0.0, 60.0, 300.0), converter=_to_delays)
    webhook_time_scale: float = attrs.field(default=1.0, validator=_finite)
    webhook_sign_anew: bool = True
    webhook_failed_as: Literal["failed", "canceled"] = attrs.field(
        default="failed", validator=_one_of("failed", "canceled")
    )
    webhook_faults: Mapping[str, float] = attrs.field(factory=dict, converter=_to_webhook_faults)
    store: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    now: Now = attrs.field(factory=anchored_clock, repr=False)
    sleep: Callable[[float], Awaitable[object]] = attrs.field(default=asyncio.sleep, repr=False)


def takes_keywords_of(
    settings: Callable[_P, Settings],
) -> Callable[[Callable[[Any, Settings], None]], Callable[Concatenate[Any, _P], None]]:
    """Let a constructor that wants `Settings` take their keywords instead, typed and listed only once."""

    def decorate(init: Callable[[Any, Settings], None]) -> Callable[Concatenate[Any, _P], None]:
        def with_keywords(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            init(self, settings(*args, **kwargs))

        itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        keywords = inspect.signature(settings).parameters.values()
        functools.update_wrapper(with_keywords, init)
        with_keywords.__signature__ = inspect.Signature([itself, *keywords])  # type: ignore[attr-defined]
        return with_keywords

    return decorate

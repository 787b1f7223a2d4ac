"""What a test does with a sandbox besides sending requests: script what comes next, and read what happened."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.fault_plan import FaultPlan
from pyannote_voiceprint_async.sandbox.fault_sampler import find_fault
from pyannote_voiceprint_async.sandbox.faults import FAULTS
from pyannote_voiceprint_async.sandbox.job_scripts import FinalStatus, JobScript
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.keywords import show_keywords
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS
from pyannote_voiceprint_async.sandbox.request_counters import RequestCounters
from pyannote_voiceprint_async.sandbox.request_log import ReceivedRequest, RequestLog
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.state import SandboxState
from pyannote_voiceprint_async.sandbox.webhook_faults import WEBHOOK_FAULTS
from pyannote_voiceprint_async.sandbox.webhook_sender import Delivery
from pyannote_voiceprint_async.sandbox.webhook_signatures import signature_headers


class SandboxControls:
    """The part of a sandbox that needs no HTTP.

    Args:
        settings: The behavior of the sandbox.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._api = ApiState(settings)
        self._faults = FaultPlan(settings.faults, settings.seed)
        self._counters = RequestCounters(OPERATIONS)
        self._log = RequestLog(settings.on_request)

    @property
    def api_key(self) -> str:
        """The only valid API key."""
        return self.settings.api_key

    @property
    def webhook_secret(self) -> str:
        """The secret with which webhooks are signed."""
        return self.settings.webhook_secret

    def sign_webhook(self, body: bytes) -> dict[str, str]:
        """Sign a webhook of your own now, to test the route that receives webhooks.

        Args:
            body: The bytes of the body, for example `b'{"jobId": "…", "status": "succeeded"}'`.

        Returns:
            The headers of the signature, as the sandbox sends them.
        """
        settings = self.settings
        return signature_headers(settings.webhook_secret, settings.webhook_signature, int(settings.now()), body)

    @property
    def accepted(self) -> Sequence[SandboxJob]:
        """All accepted jobs, oldest first."""
        return self._api.jobs.accepted

    @property
    def billed(self) -> Mapping[str, int]:
        """What the accepted jobs cost at their end: `voiceprint` is a number of jobs, `identify` of seconds.

        Failed and canceled jobs cost nothing. An identification costs 20 seconds at least.
        """
        units: Counter[str] = Counter(voiceprint=0, identify=0)
        for job in self.accepted:
            units[job.kind] += job.quantity if job.fate == "succeeded" else 0
        return dict(units)

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """All finished attempts to deliver a webhook, in the order in which they finished."""
        return self._api.webhooks.deliveries

    @property
    def state(self) -> SandboxState:
        """The counts of this moment."""
        return self._counters.snapshot(len(self.accepted), self._api.webhooks.tally())

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """The newest 1,000 requests, in the order of their responses, oldest first."""
        return self._log.requests

    @show_keywords
    def on_next(  # noqa: PLR0913 - the fields of `JobScript`, so that `help()` lists them
        self,
        *,
        job: FinalStatus | None = None,
        error: str | None = None,
        output: Mapping[str, Any] | None = None,
        seconds: float | tuple[float, float] | None = None,
        audio_seconds: float | None = None,
        turns: int | None = None,
        operation: str | None = None,
        times: int = 1,
    ) -> None:
        """Script the next accepted submission: `on_next(job="failed", error="Could not load audio")`.

        Args:
            job: Final status: `succeeded`, `failed` or `canceled`. By default, the job fails if the path of its URL
                contains `unreachable` or its upload is no usable audio, is canceled if the path contains `canceled`,
                and succeeds otherwise.
            error: The error in the output of a failed job. It implies `job="failed"`.
            output: The whole output of a succeeded job. It implies `job="succeeded"`.
            seconds: Duration of the job in seconds, or a random duration in a range (low, high).
            audio_seconds: Length of the recording, which decides what an identification costs.
            turns: Number of turns in the output of an identification.
            operation: `voiceprint` or `identify`; `None` is whichever comes next.
            times: Number of submissions.

        Raises:
            ValueError: For an unknown operation, or values that contradict each other.
        """
        script = JobScript(
            job=job, error=error, output=output, seconds=seconds, audio_seconds=audio_seconds, turns=turns
        )
        self._api.scripts.add_next(script, operation, times)

    @show_keywords
    def on_url(  # noqa: PLR0913 - as for `on_next`
        self,
        url: str,
        *,
        job: FinalStatus | None = None,
        error: str | None = None,
        output: Mapping[str, Any] | None = None,
        seconds: float | tuple[float, float] | None = None,
        audio_seconds: float | None = None,
        turns: int | None = None,
        operation: str | None = None,
    ) -> None:
        """Script all later submissions of a URL: `on_url("https://example.com/slow/*", seconds=30.0)`.

        What is scripted for the next submission comes first, then the newest script whose URL matches.

        Args:
            url: The submitted URL, in which `*` stands for any characters.
            job: Final status, as in `on_next`, like all following arguments.
            error: The error of a failed job.
            output: The output of a succeeded job.
            seconds: Duration of the job.
            audio_seconds: Length of the recording.
            turns: Number of turns in the output of an identification.
            operation: `voiceprint` or `identify`; `None` is both.

        Raises:
            ValueError: For an unknown operation, or values that contradict each other.
        """
        script = JobScript(
            job=job, error=error, output=output, seconds=seconds, audio_seconds=audio_seconds, turns=turns
        )
        self._api.scripts.add_url(url, script, operation)

    def fail_next(self, faults: str | Iterable[str], *, operation: str | None = None) -> None:
        """Assign faults to the next requests, one each. A `rate-limited` assigned here affects one request only.

        Args:
            faults: A name of `FAULTS` or of `WEBHOOK_FAULTS`, or several names. Each fault of `FAULTS` affects one
                request, each fault of `WEBHOOK_FAULTS` the webhook of one job.
            operation: `test`, `media`, `voiceprint`, `identify`, `job` or `jobs`; `None` is any operation to which the
                fault applies.

        Raises:
            ValueError: For an unknown name (the message lists all names), or a fault that does not apply to this
                operation.
        """
        names = [faults] if isinstance(faults, str) else list(faults)
        for name in names:
            find_fault({**FAULTS, **WEBHOOK_FAULTS}, name)
        webhook_faults = [name for name in names if name in WEBHOOK_FAULTS]
        if webhook_faults and operation is not None:
            raise ValueError(f"The fault {webhook_faults[0]!r} affects webhooks. Omit `operation`.")
        self._faults.script([name for name in names if name in FAULTS], operation)
        self._api.webhooks.script(webhook_faults)

    def fail_next_webhook(self, faults: str | Iterable[str]) -> None:
        """Assign faults to the webhooks of the next jobs that request one, one fault per job.

        Args:
            faults: A name of `WEBHOOK_FAULTS`, or one name for each of several jobs.

        Raises:
            ValueError: For an unknown name.
        """
        self._api.webhooks.script([faults] if isinstance(faults, str) else faults)

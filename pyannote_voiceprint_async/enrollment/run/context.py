"""The objects that the parts of one run share."""

from typing import Self

import attrs

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.options import Options

from .circuit_breaker import CircuitBreaker
from .refusals import Refusals
from .row_results import RowResults
from .run_reporter import RunReporter
from .timeline import Timeline
from .unknown_outcomes import UnknownOutcomes

__all__ = ["RunContext"]


@attrs.frozen
class RunContext:
    """The shared objects of one run."""

    client: AsyncVoiceprintClient
    ledger: LedgerStore
    options: Options
    reporter: RunReporter
    """Events and progress."""
    results: RowResults
    """Writes the results of rows to the ledger."""
    timeline: Timeline
    """The clocks that date intents."""
    breaker: CircuitBreaker
    """Pauses all submissions while the API fails."""
    refusals: Refusals
    """Refused and accepted submissions of this run."""
    unknown_outcomes: UnknownOutcomes
    """Decides when unknown outcomes must be resolved."""

    @classmethod
    def create(cls, client: AsyncVoiceprintClient, ledger: LedgerStore, options: Options) -> Self:
        """Create the shared objects of a new run."""
        engine, clock = client.engine, client.engine.clock
        reporter = RunReporter(clock.time)
        return cls(
            client=client,
            ledger=ledger,
            options=options,
            reporter=reporter,
            results=RowResults(ledger, clock, reporter),
            timeline=Timeline(clock, engine.server_time),
            breaker=CircuitBreaker(clock.time, engine.sleep, reporter.on_breaker_change),
            refusals=Refusals(clock.time),
            unknown_outcomes=UnknownOutcomes(clock.time),
        )

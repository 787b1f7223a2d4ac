"""What is done to a run, all of it drawn from one seed."""

from collections.abc import Mapping
from random import Random

import attrs
from enrollment.torture.points import NAMES, POINTS

# Of answers to submissions that are accepted.
_LOSSES = {"drop-after-accept": 0.05, "accept-late": 0.02}


@attrs.frozen
class Variant:
    """One kind of trouble, beside the kills, the second program and what is lost after it was accepted."""

    faults: Mapping[str, float] = attrs.field(factory=dict)
    """More faults of the sandbox, by name."""
    is_limited: bool = False
    """Whether there are rate limits."""
    loses_network: bool = False
    """Whether the network is gone for a while, again and again."""
    fills_disk: bool = False
    """Whether the first run meets a full disk."""


VARIANTS: Mapping[str, Variant] = {
    "lost-answers": Variant(),
    "unavailable": Variant({"unavailable": 0.1}),
    "rate-limited": Variant({"rate-limited": 0.02}, is_limited=True),
    "server-errors": Variant({"server-error": 0.02, "bad-gateway": 0.02, "truncated-json": 0.02}),
    "network": Variant(loses_network=True),
    "full-disk": Variant(fills_disk=True),
}


@attrs.frozen
class Kill:
    """Where one start of the program dies, if it comes that far."""

    point: str
    nth: int


@attrs.frozen
class Case:
    """One torture, from the first start to the last."""

    variant: str
    seed: int
    rows: int
    files: int
    """How many of the rows are local files."""
    on_unknown: str
    concurrency: int
    latency: float
    """Scaled seconds that an answer takes at most."""
    job_seconds: float
    late_seconds: float
    """Scaled seconds after which what is accepted late is accepted."""
    stranger_seconds: float
    """Scaled seconds between two submissions of the second program, on average."""
    kills: tuple[Kill, ...]
    largest_file: int
    """Bytes of the ledger's files at which the disk is full, where it gets full."""
    losses: Mapping[str, float] = attrs.field(factory=_LOSSES.copy)
    """How likely answers to accepted submissions are lost, by the sandbox's faults."""

    @property
    def trouble(self) -> Variant:
        return VARIANTS[self.variant]

    @property
    def faults(self) -> dict[str, float]:
        return {**self.losses, **self.trouble.faults}

    def __str__(self) -> str:
        kills = ", ".join(f"{kill.point} {kill.nth}" for kill in self.kills)
        return f"{self.variant} seed {self.seed}: {self.on_unknown}, concurrency {self.concurrency}, kills at {kills}"


def draw(variant: str, seed: int, rows: int) -> Case:
    """Draw a case."""
    random = Random(f"{variant} {seed}")
    concurrency = random.choice([1, 4, 16, 64])
    kills = tuple(_draw_kill(random, rows, concurrency) for _ in range(random.choice([1, 2, 2, 3])))
    return Case(
        variant,
        seed,
        rows,
        files=random.randint(0, rows // 8),
        on_unknown=random.choice(["hold", "hold", "resubmit"]),
        concurrency=concurrency,
        latency=random.choice([0.0, 1.0, 5.0]),
        job_seconds=random.choice([0.0, 5.0, 60.0]),
        late_seconds=random.uniform(1.0, 40.0),
        stranger_seconds=random.choice([60.0, 300.0, 1200.0]),
        kills=kills,
        largest_file=random.randrange(229376, 229376 + 2048 * rows),
    )


def _draw_kill(random: Random, rows: int, concurrency: int) -> Kill:
    name = random.choice(NAMES)
    if name in POINTS and POINTS[name].rare:
        return Kill(name, random.choice([1, 1, 2]))
    # Commits take many rows together where many are on their way.
    most = rows // min(concurrency, 8) if name.startswith("commit") else rows
    return Kill(name, random.randint(1, max(2, most)))

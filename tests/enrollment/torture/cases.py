"""What happens to a run in one case of the torture, drawn from a seed."""

from collections.abc import Mapping
from random import Random

import attrs
from enrollment.torture.points import NAMES, POINTS

# Probabilities that the response to an accepted submission is lost, by fault of the sandbox.
_LOSSES = {"drop-after-accept": 0.05, "accept-late": 0.02}


@attrs.frozen
class Variant:
    """One additional kind of fault, besides the kills, the second program and the lost responses."""

    faults: Mapping[str, float] = attrs.field(factory=dict)
    """Probabilities of further faults of the sandbox, by name."""
    is_limited: bool = False
    """Whether the sandbox has rate limits."""
    loses_network: bool = False
    """Whether the network fails several times for a while."""
    fills_disk: bool = False
    """Whether the disk is full in the first run."""


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
    """Where one start of the program is killed, provided that it gets that far."""

    point: str
    nth: int
    """The program is killed when it passes the point for the nth time."""


@attrs.frozen
class Case:
    """One case: several starts of the program over the same ledger."""

    variant: str
    seed: int
    rows: int
    files: int
    """How many of the rows are local files."""
    on_unknown: str
    concurrency: int
    latency: float
    """The longest time of a response, in scaled seconds."""
    job_seconds: float
    late_seconds: float
    """The delay of submissions that are accepted late, in scaled seconds."""
    stranger_seconds: float
    """The average time between two submissions of the second program, in scaled seconds."""
    kills: tuple[Kill, ...]
    growth: int
    """The bytes by which an empty ledger may grow, if the variant fills the disk."""
    losses: Mapping[str, float] = attrs.field(factory=_LOSSES.copy)
    """Probabilities that the response to an accepted submission is lost, by fault of the sandbox."""

    @property
    def variant_settings(self) -> Variant:
        """The variant by its name."""
        return VARIANTS[self.variant]

    @property
    def faults(self) -> dict[str, float]:
        """The probabilities of all faults of the sandbox."""
        return {**self.losses, **self.variant_settings.faults}

    def __str__(self) -> str:
        kills = ", ".join(f"{kill.point} {kill.nth}" for kill in self.kills)
        return f"{self.variant} seed {self.seed}: {self.on_unknown}, concurrency {self.concurrency}, kills at {kills}"


def draw(variant: str, seed: int, rows: int) -> Case:
    """Return the case of a variant and a seed."""
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
        growth=random.randrange(2048 * rows),
    )


def _draw_kill(random: Random, rows: int, concurrency: int) -> Kill:
    name = random.choice(NAMES)
    if name in POINTS and POINTS[name].rare:
        return Kill(name, random.choice([1, 1, 2]))
    # One commit writes many rows if many are in flight, so there are fewer commits than rows.
    most_passes = rows // min(concurrency, 8) if name.startswith("commit") else rows
    return Kill(name, random.randint(1, max(2, most_passes)))

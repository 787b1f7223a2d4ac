"""Validation of the body of `POST /v1/identify`."""

from collections.abc import Callable, Mapping
from typing import Any

from pyannote_voiceprint_async.sandbox.validation import InvalidBody, MediaKeys, Rule, parse_body, voiceprint_rules

MOST_VOICEPRINTS = 50
LONGEST_LABEL = 100
LONGEST_VOICEPRINT = 20_000

_REQUIRED = ("url", "voiceprints")

# Labels of this form are those of diarized speakers that match no voiceprint.
_RESERVED_PREFIX = "speaker_"


def identify_rules(keys: MediaKeys) -> Mapping[str, Rule]:
    """Return the rules for the fields of `POST /v1/identify`."""
    speakers = {name: _number(name, 1, None, nullable=True) for name in ("numSpeakers", "minSpeakers", "maxSpeakers")}
    sensitivities = {name: _number(name, -5, 5) for name in ("vadSensitivity", "crosstalkSensitivity")}
    return {
        **voiceprint_rules(keys),
        "voiceprints": _voiceprints,
        "matching": _matching,
        **speakers,
        **sensitivities,
        "turnLevelConfidence": _boolean("turnLevelConfidence", nullable=True),
        "exclusive": _boolean("exclusive"),
        "confidence": _boolean("confidence"),
    }


def parse_identify_body(body: bytes, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Parse and validate the body of `POST /v1/identify`.

    Raises:
        InvalidBody: With the errors of all invalid fields.
    """
    fields = parse_body(body, rules, _REQUIRED)
    fewest, most = fields.get("minSpeakers"), fields.get("maxSpeakers")
    if fewest is not None and most is not None and fewest > most:
        raise InvalidBody([{"field": "minSpeakers", "message": "minSpeakers must not be greater than maxSpeakers"}])
    return fields


def _voiceprints(value: Any) -> str | Mapping[str, str]:
    if not isinstance(value, list):
        return "voiceprints must be an array"
    if not 1 <= len(value) <= MOST_VOICEPRINTS:
        return f"voiceprints must contain 1 to {MOST_VOICEPRINTS} elements"
    return {
        f"{index}.{member}": message
        for index, item in enumerate(value)
        for member, message in _labelled_voiceprint(item).items()
    }


def _labelled_voiceprint(item: Any) -> Mapping[str, str]:
    """Return the message of each invalid member."""
    fields = item if isinstance(item, dict) else {}
    messages = {
        "label": _label(fields.get("label")),
        "voiceprint": _text("voiceprint", fields.get("voiceprint"), LONGEST_VOICEPRINT),
    }
    return {member: message for member, message in messages.items() if message}


def _label(value: Any) -> str:
    message = _text("label", value, LONGEST_LABEL)
    if not message and value.lower().startswith(_RESERVED_PREFIX):
        return f"label must not start with {_RESERVED_PREFIX}"
    return message


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        return f"{name} must be a string"
    return "" if len(value) <= longest else f"{name} must be at most {longest} characters long"


def _matching(value: Any) -> str | Mapping[str, str]:
    if not isinstance(value, dict):
        return "matching must be an object"
    rules = {
        "exclusive": _boolean("exclusive", nullable=True),
        "threshold": _number("threshold", 0, 100, nullable=True),
    }
    messages = {name: rule(value[name]) for name, rule in rules.items() if name in value}
    return {name: message for name, message in messages.items() if message}


def _boolean(name: str, *, nullable: bool = False) -> Callable[[Any], str]:
    def rule(value: Any) -> str:
        accepted = isinstance(value, bool) or (nullable and value is None)
        return "" if accepted else f"{name} must be a boolean"

    return rule


def _number(name: str, low: float, high: float | None, *, nullable: bool = False) -> Callable[[Any], str]:
    bounds = f"at least {low}" if high is None else f"a number from {low} to {high}"

    def rule(value: Any) -> str:
        if nullable and value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} must be a number"
        return "" if low <= value and (high is None or value <= high) else f"{name} must be {bounds}"

    return rule

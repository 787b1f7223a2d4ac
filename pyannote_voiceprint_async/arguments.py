"""Checks and conversions of the arguments of the client."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp
import attrs

from .errors import ConfigurationError, FieldError, InvalidRequestError
from .models import IdentificationOptions, VoiceprintRequest
from .secret import hide
from .settings import RateLimits

__all__ = [
    "check_age",
    "check_batch",
    "check_callback",
    "check_event_hook",
    "check_not_both",
    "check_queue_wait",
    "check_rate_limit_name",
    "check_session",
    "check_submission_key",
    "check_types",
    "first_set",
    "hide_items",
    "hide_options",
    "hide_url",
    "key_of",
    "run_callback",
    "to_request",
]


_MAX_KEY_LENGTH = 500


def first_set(argument: str | None, *variables: str) -> str | None:
    """Return the argument, or else the first environment variable that is set."""
    if argument is not None:
        return argument
    return next((value for name in variables if (value := os.environ.get(name))), None)


def to_request(source: Any, model: str, webhook: str | None, *, webhook_status_only: bool = False) -> VoiceprintRequest:
    """Return the request for a URL; a request is returned as it is."""
    if isinstance(source, VoiceprintRequest):
        return source
    return VoiceprintRequest(source, model, webhook, webhook_status_only)


def hide_url(source: Any) -> Any:
    """Return a URL as a `Secret`, so that no traceback shows its query; audio is returned as it is."""
    return hide(source) if isinstance(source, str) else source


def hide_items(items: Any) -> Any:
    """Return an iterator whose `repr()` shows no item of a batch; an async iterable is returned as it is."""
    return iter(items) if isinstance(items, Iterable) else items


def hide_options(options: IdentificationOptions) -> IdentificationOptions:
    """Return the options with the webhook as a `Secret`, so that no traceback shows its query."""
    hidden = options.copy()
    hidden["webhook"] = hide(options.get("webhook"))
    return hidden


async def run_callback(callback: Callable[..., Awaitable[None] | None] | None, *arguments: object) -> None:
    """Call a callback, if there is one, and await what it returns if that is awaitable."""
    returned = None if callback is None else callback(*arguments)
    if inspect.isawaitable(returned):
        await returned


def check_event_hook(hook: object) -> None:
    """Check that `on_event` is None or a function that is not `async`.

    Raises:
        ConfigurationError: it is an async function, or cannot be called.
    """
    if hook is None:
        return
    if not callable(hook):
        raise ConfigurationError(f"on_event must be a function, not {type(hook).__name__}.")
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            "on_event must not be an async function: it is called, and not awaited. To await something for an event, "
            "put the event into an asyncio.Queue, and read the queue in a task."
        )


def check_callback(callback: object, name: str = "on_submitted") -> None:
    """Check that a callback is None or can be called.

    Raises:
        TypeError: it cannot be called.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"{name} must be a function, not {type(callback).__name__}.")


def check_batch(items: object) -> None:
    """Check that the items of a batch are not a single source, which would be read character by character.

    Raises:
        TypeError: the items are a single source.
    """
    if isinstance(items, str | bytes | Mapping):
        raise TypeError("Pass a list or another iterable of sources; put a single source into a list.")


def check_types(**settings: tuple[object, type]) -> None:
    """Check the types of settings, each a pair of the value and its expected type.

    Raises:
        ConfigurationError: a setting has another type.
    """
    for name, (value, kind) in settings.items():
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be a {kind.__name__}, not {value!r}.")


def check_not_both(**settings: object) -> None:
    """Check that at most one of two settings is set.

    Raises:
        ConfigurationError: both are set.
    """
    if all(value is not None for value in settings.values()):
        first, second = settings
        raise ConfigurationError(f"Pass {first}= or {second}=, not both: each of them decides about the rate limit.")


def check_queue_wait(max_queue_wait: object) -> None:
    """Check a `max_queue_wait`.

    Raises:
        ConfigurationError: the value is neither None nor a number of 0 or more.
    """
    if max_queue_wait is not None and (not isinstance(max_queue_wait, int | float) or not max_queue_wait >= 0):
        raise ConfigurationError(f"max_queue_wait must be seconds (0 or more) or None, not {max_queue_wait!r}.")


def check_submission_key(key: Any) -> Any:
    """Return a submission key.

    Raises:
        InvalidRequestError: the key is neither None nor a text of 1 to 500 characters.
    """
    if key is None or (isinstance(key, str) and 0 < len(key) <= _MAX_KEY_LENGTH and key.isprintable()):
        return key
    problem = f"must be a text of 1 to {_MAX_KEY_LENGTH} printable characters"
    raise InvalidRequestError(f"key {problem}. Nothing was sent.", errors=[FieldError("key", problem)])


def key_of(key: Callable[[Any], str] | None, item: object) -> str | None:
    """Return the submission key of an item of a batch.

    Args:
        key: the function of the user; None means that items have no keys.
        item: the item.

    Raises:
        InvalidRequestError: the function returned something else than a key.
    """
    return None if key is None else check_submission_key(key(item) or "")


def check_age(older_than: object) -> None:
    """Check an age in seconds.

    Raises:
        ConfigurationError: the value is not a number of 0 or more.
    """
    if isinstance(older_than, bool) or not isinstance(older_than, int | float) or not 0 <= older_than < math.inf:
        raise ConfigurationError(f"older_than must be seconds (0 or more), not {older_than!r}.")


def check_rate_limit_name(name: object) -> None:
    """Check the name of a rate limit.

    Raises:
        ConfigurationError: it is no field of `RateLimits`.
    """
    names = attrs.fields_dict(RateLimits)
    if name not in names:
        raise ConfigurationError(f"There is no rate limit {name!r}. The rate limits are: {', '.join(names)}.")


def check_session(session: aiohttp.ClientSession | None) -> None:
    """Check that a session of the user sends no credentials of its own.

    Raises:
        ConfigurationError: the session has credentials, or is not an `aiohttp.ClientSession`.
    """
    if session is None:
        return
    check_types(session=(session, aiohttp.ClientSession))
    if session.auth is not None or "Authorization" in session.headers:
        raise ConfigurationError(
            "The session has its own `auth` or Authorization header, which conflicts with the API key. Pass a session "
            "without them."
        )

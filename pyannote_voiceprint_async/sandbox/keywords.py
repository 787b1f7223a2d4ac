"""A decorator for a constructor that has the keywords of another class."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def accept_keywords_of(
    options: Callable[_P, _T],
) -> Callable[[Callable[[Any, _T], None]], Callable[Concatenate[Any, _P], None]]:
    """Replace the constructor's one parameter by the parameters of `options`, for type checkers and `help()`, too.

    Args:
        options: Class whose instance the constructor receives.
    """

    def decorate(init: Callable[[Any, _T], None]) -> Callable[Concatenate[Any, _P], None]:
        def with_keywords(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            init(self, options(*args, **kwargs))

        first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        keywords = inspect.signature(options).parameters.values()
        functools.update_wrapper(with_keywords, init)
        with_keywords.__signature__ = inspect.Signature([first, *keywords])  # type: ignore[attr-defined]
        return with_keywords

    return decorate

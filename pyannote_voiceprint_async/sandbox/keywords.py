"""Decorators for constructors and methods of many keywords, which keep `help()` readable."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MODULES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")


def accept_keywords_of(
    options: Callable[_P, _T],
) -> Callable[[Callable[[Any, _T], None]], Callable[Concatenate[Any, _P], None]]:
    """Replace the constructor's one parameter by the parameters of `options`, for type checkers and `help()`, too.

    Args:
        options: Class whose instance the constructor receives. Its docstring becomes that of the constructor.
    """

    def decorate(init: Callable[[Any, _T], None]) -> Callable[Concatenate[Any, _P], None]:
        accepted = inspect.signature(options)

        def with_keywords(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            try:
                accepted.bind(*args, **kwargs)
            except TypeError as error:
                name = type(self).__name__
                raise TypeError(f"{name}(): {error}. All arguments are keywords; help({name}) lists them.") from None
            init(self, options(*args, **kwargs))

        first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        functools.update_wrapper(with_keywords, init)
        with_keywords.__doc__ = options.__doc__
        with_keywords.__signature__ = _long([first, *accepted.parameters.values()])  # type: ignore[attr-defined]
        return with_keywords

    return decorate


def show_keywords(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make `help()` show a method of many keywords with one of them per line."""
    method.__signature__ = _long(inspect.signature(method).parameters.values())  # type: ignore[attr-defined]
    return method


class LongSignature(inspect.Signature):
    """A signature that `help()` shows with one parameter per line."""

    def __str__(self) -> str:
        shown = [parameter for parameter in self.parameters.values() if parameter.name != "self"]
        lines = [str(parameter) for parameter in shown if parameter.kind is not parameter.KEYWORD_ONLY]
        lines += ["*", *(str(parameter) for parameter in shown if parameter.kind is parameter.KEYWORD_ONLY)]
        return "\n".join(["(", *(f"    {line}," for line in lines), ")"])


class PlainText:
    """An object that is shown as this text, in place of an annotation or a default value.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _long(parameters: Iterable[inspect.Parameter]) -> LongSignature:
    return LongSignature([_readable(parameter) for parameter in parameters])


def _readable(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return the parameter without the names of modules, and without the addresses of objects."""
    if parameter.annotation is parameter.empty:
        return parameter
    annotation, default = inspect.formatannotation(parameter.annotation), parameter.default
    if (callable(default) and default is not parameter.empty) or "NOTHING" in repr(
        default
    ):  # attrs shows NOTHING for a value that each instance creates
        default = PlainText("...")
    return parameter.replace(annotation=PlainText(_MODULES.sub("", annotation)), default=default)

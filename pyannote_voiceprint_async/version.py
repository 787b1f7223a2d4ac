"""The version: written here once, read by the build and by the `User-Agent`.

Asking the installed metadata instead would cost a fifth of what importing aiohttp costs.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"

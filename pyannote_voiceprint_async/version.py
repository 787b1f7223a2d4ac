"""The version, which the build and the `User-Agent` read from here.

Reading it from the installed metadata would add to the import time a fifth of what aiohttp costs.
"""

__all__ = ["__version__"]

__version__ = "0.2.0"

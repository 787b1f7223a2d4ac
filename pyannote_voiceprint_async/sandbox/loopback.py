"""Recognition of this machine's loopback interface."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address is `localhost` or a loopback address.

    Other names are not resolved: a name that resolves to 127.0.0.1 today may resolve to another machine tomorrow.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    # Python before 3.13 does not recognize ::ffff:127.0.0.1 as a loopback address.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback

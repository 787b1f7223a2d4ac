"""Who signs URLs, and how: one table.

A row of the table may match a URL only where the signature cannot select the recording. Names that other services
use for something else (`token`, `st`, `s`) count only on the signer's own hosts and paths, or with a value that is
nothing but a signature. What tells objects apart is in no row: `versionId`, `generation`, `snapshot`, `partNumber`,
`x-oss-process`, `width`, … Overrides of response headers (`response-content-type`, …) select no object either, and
a new signature often comes with a new file name for the download: they are left out beside a known signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from .expiry import Expiry, baidu, earliest, epoch, hexadecimal, lifetime, moment, policy, token, written

__all__ = ["SIGNERS", "Signer"]

_ANY = ""
_NUMBER = r"\d{9,16}"
_JWT = r"[\w-]+\.[\w-]+\.[\w-]*"
_HMAC = r"(?=.*\bexp=\d)(?=.*\bhmac=[0-9a-f]).*"
_TIMED_HASH = r"\d{9,10}-\w+-\w+-[0-9a-f]{32}"

_RESPONSE = (
    "response-content-type response-content-language response-expires response-cache-control "
    "response-content-disposition response-content-encoding"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _expressions(values: Mapping[str, str]) -> Mapping[str, re.Pattern[str] | None]:
    return {name: re.compile(value, re.ASCII) if value else None for name, value in values.items()}


def _expression(text: str | None) -> re.Pattern[str] | None:
    return None if text is None else re.compile(text, re.ASCII)


@attrs.frozen
class Signer:
    """One way to sign a URL. Names of parameters are in lower case, values are decoded."""

    name: str
    """Who signs so."""
    needs: Mapping[str, re.Pattern[str] | None] = attrs.field(converter=_expressions)
    """The parameters that identify the signer, each with what its whole value must look like."""
    signs: frozenset[str] = attrs.field(converter=_words)
    """The parameters that are left out of a recording's identity."""
    expiry: Expiry | None = None
    """Reads the expiry, where the query has it."""
    host: re.Pattern[str] | None = attrs.field(default=None, converter=_expression, kw_only=True)
    """The whole host, where only its own hosts are safe to match."""
    path: re.Pattern[str] | None = attrs.field(default=None, converter=_expression, kw_only=True)
    """How the path begins, where only its own paths are safe to match."""
    in_path: re.Pattern[str] | None = attrs.field(default=None, converter=_expression, kw_only=True)
    """The signature inside the path, where it is there; named groups are read like parameters."""
    names: frozenset[str] = attrs.field(init=False, default=attrs.Factory(lambda self: frozenset(self.needs), True))

    def matches(self, host: str, path: str, query: Mapping[str, str]) -> bool:
        """Whether this signer signed a URL of these parts."""
        return (
            self.names <= query.keys()
            and (self.host is None or self.host.fullmatch(host) is not None)
            and (self.path is None or self.path.match(path) is not None)
            and (self.in_path is None or self.in_path.search(path) is not None)
            and all(value is None or value.fullmatch(query[name]) for name, value in self.needs.items())
        )


SIGNERS = (
    # Object storage. S3 is spoken by MinIO, Ceph, Wasabi, DigitalOcean, Cloudflare R2, Backblaze, Scaleway, Vercel, …
    Signer(
        "Amazon S3, signature version 4",
        {"x-amz-signature": _ANY},
        "x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders x-amz-signature "
        "x-amz-security-token x-amz-content-sha256 x-amz-region-set x-amz-s3session-token x-amz-user-agent "
        "x-amz-request-payer x-amz-expected-bucket-owner x-amz-checksum-mode x-amz-sdk-checksum-algorithm x-id "
        f"{_RESPONSE}",
        lifetime("x-amz-date", "x-amz-expires"),
    ),
    Signer(
        "Amazon S3, signature version 2",
        {"awsaccesskeyid": _ANY, "expires": _ANY, "signature": _ANY},
        f"awsaccesskeyid expires signature x-amz-security-token {_RESPONSE}",
        epoch("expires"),
    ),
    Signer(
        "Google Cloud Storage, version 4",
        {"x-goog-signature": _ANY},
        "x-goog-algorithm x-goog-credential x-goog-date x-goog-expires x-goog-signedheaders x-goog-signature "
        f"x-goog-content-sha256 {_RESPONSE}",
        lifetime("x-goog-date", "x-goog-expires"),
    ),
    Signer(
        "Google Cloud Storage, version 2",
        {"googleaccessid": _ANY, "expires": _ANY, "signature": _ANY},
        f"googleaccessid expires signature {_RESPONSE}",
        epoch("expires"),
    ),
    *(
        Signer(
            "Azure Storage, shared access signature",
            {"sig": _ANY, **others},
            "saoid scid sdd se ses si sig sip skdutid ske skoid sks skt sktid skv sp spr sr srt ss st suoid sv "
            "rscc rscd rsce rscl rsct",
            moment("se"),
        )
        for others in ({"sv": r"\d{4}-.+"}, {"se": r"\d{4}-.+"}, {"si": _ANY, "sr": _ANY})
    ),
    Signer(
        "Alibaba Cloud OSS, version 1",
        {"ossaccesskeyid": _ANY, "expires": _ANY, "signature": _ANY},
        f"ossaccesskeyid expires signature security-token x-oss-traffic-limit {_RESPONSE}",
        epoch("expires"),
    ),
    Signer(
        "Alibaba Cloud OSS, version 4",
        {"x-oss-signature": _ANY},
        "x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-signature x-oss-additional-headers "
        f"x-oss-security-token x-oss-traffic-limit x-oss-request-payer {_RESPONSE}",
        lifetime("x-oss-date", "x-oss-expires"),
    ),
    Signer(
        "Tencent Cloud COS",
        {"q-signature": _ANY},
        "q-sign-algorithm q-ak q-sign-time q-key-time q-header-list q-url-param-list q-signature "
        f"x-cos-security-token x-cos-traffic-limit {_RESPONSE}",
        earliest(written("q-key-time", r"^\d+;(\d{9,11})$"), written("q-sign-time", r"^\d+;(\d{9,11})$")),
    ),
    Signer(
        "Tencent Cloud COS, in one parameter",
        {"sign": r"(?s).*q-signature=.*"},
        f"sign x-cos-security-token {_RESPONSE}",
        written("sign", r"q-key-time=\d+;(\d{9,11})\b"),
    ),
    Signer(
        "Huawei Cloud OBS",
        {"accesskeyid": _ANY, "expires": _ANY, "signature": _ANY},
        f"accesskeyid expires signature x-obs-security-token x-obs-traffic-limit {_RESPONSE}",
        epoch("expires"),
    ),
    Signer(
        "Volcano Engine TOS",
        {"x-tos-signature": _ANY},
        "x-tos-algorithm x-tos-credential x-tos-date x-tos-expires x-tos-signedheaders x-tos-signature "
        f"x-tos-security-token x-tos-policy {_RESPONSE}",
        lifetime("x-tos-date", "x-tos-expires"),
    ),
    Signer(
        "Kingsoft KS3",
        {"kssaccesskeyid": _ANY, "expires": _ANY, "signature": _ANY},
        f"kssaccesskeyid expires signature {_RESPONSE}",
        epoch("expires"),
    ),
    Signer(
        "Baidu Cloud BOS",
        {"authorization": r"bce-auth-v\d/.+"},
        "authorization x-bce-security-token responsecontenttype responsecontentdisposition",
        baidu("authorization"),
    ),
    Signer(
        "Backblaze B2",
        {"authorization": _ANY},
        "authorization b2contentdisposition b2contentlanguage b2expires b2cachecontrol b2contentencoding b2contenttype",
        written("authorization", r"_(\d{14})_\d+_dnld"),
        host=r"(?:.+\.)?backblazeb2\.com",
    ),
    Signer(
        "Backblaze B2, on another host",
        {"authorization": r"[\w=-]+_dnld"},
        "authorization b2contentdisposition b2contentlanguage b2expires b2cachecontrol b2contentencoding b2contenttype",
        written("authorization", r"_(\d{14})_\d+_dnld"),
    ),
    Signer(
        "OpenStack Swift",
        {"temp_url_sig": _ANY, "temp_url_expires": _ANY},
        "temp_url_sig temp_url_expires temp_url_prefix temp_url_ip_range filename inline",
        earliest(epoch("temp_url_expires"), moment("temp_url_expires")),
    ),
    Signer(
        "Oracle Cloud, pre-authenticated request",
        {},
        "",
        host=r"(?:.+\.)?(?:oraclecloud\.com|oci\.customer-oci\.com)",
        in_path=r"^/p/[^/]+(?=/n/)",
    ),
    Signer(
        "Qiniu",
        {"e": _NUMBER, "token": r"[\w-]{16,}:[\w=-]{20,}"},
        "e token attname",
        epoch("e"),
    ),
    # Platforms with a storage of their own.
    Signer(
        "Supabase",
        {"token": _ANY},
        "token download",
        token("token"),
        path=r".*/storage/v1/(?:object|render/image)/sign/",
    ),
    Signer("Firebase", {"token": _ANY}, "token", path=r"/v0/b/[^/]+/o/"),
    Signer(
        "Pinata",
        {"x-algorithm": r"PINATA\d*", "x-date": _ANY, "x-expires": _ANY, "x-signature": _ANY},
        "x-algorithm x-date x-expires x-method x-signature",
        lifetime("x-date", "x-expires"),
    ),
    Signer(
        "Laravel",
        {"signature": r"[0-9a-f]{64}", "expires": _NUMBER},
        "signature expires",
        epoch("expires"),
    ),
    # Content delivery networks.
    Signer(
        "Amazon CloudFront",
        {"key-pair-id": _ANY, "signature": _ANY},
        "expires hash-algorithm key-pair-id policy signature",
        earliest(epoch("expires"), policy("policy")),
    ),
    Signer(
        "Google Cloud CDN and Media CDN",
        {"expires": _ANY, "keyname": _ANY, "signature": _ANY},
        "urlprefix expires keyname signature fullpath pathglobs starts",
        epoch("expires"),
    ),
    Signer(
        "Google Media CDN, in one parameter",
        {"edge-cache-token": r".*Expires=\d+.*"},
        "edge-cache-token",
        written("edge-cache-token", r"Expires=(\d{9,16})"),
    ),
    Signer(
        "Bunny",
        {"token": _ANY, "expires": _NUMBER},
        "token expires token_path token_countries token_countries_blocked token_ver limit",
        epoch("expires"),
        host=r"(?:.+\.)?b-cdn\.net",
    ),
    Signer(
        "Bunny, on another host",
        {"token": r"(?:HS256-)?[\w-]{22,}", "expires": _NUMBER, "token_path": _ANY},
        "token expires token_path token_countries token_countries_blocked token_ver limit",
        epoch("expires"),
    ),
    Signer(
        "Bunny, in the path",
        {},
        "",
        epoch("expires"),
        in_path=r"^/bcdn_token=[^/&]+(?:&(?:expires=(?P<expires>\d+)|token_\w+=[^/&]*))*(?=/)",
    ),
    *(
        Signer(
            "Akamai and those who took over its token",
            {name: _HMAC},
            name,
            written(name, r"(?:^|~)exp=(\d{9,16})(?:~|$)"),
        )
        for name in ("__token__", "__cld_token__", "hdnea", "hdntl", "hdnts", "hdnst", "token", "acl_token")
    ),
    Signer(
        "Akamai, in the path",
        {},
        "",
        epoch("exp"),
        in_path=r"^/(?:\w+=)?(?:st=\d+~)?exp=(?P<exp>\d+)~[^/]*hmac=[0-9a-f]+(?=/)",
    ),
    Signer(
        "Fastly",
        {"token": r"(?:\d{10}|0x[0-9a-f]{8}|[0-9a-f]{8})_(?:0x)?(?:[0-9a-f]{40}|[0-9a-f]{64})"},
        "token",
        earliest(written("token", r"^(\d{10})_")),
    ),
    Signer("Cloudflare", {"verify": r"\d{10}-[\w+/=-]{43,}"}, "verify"),
    Signer("Alibaba Cloud CDN", {"auth_key": _TIMED_HASH}, "auth_key"),
    Signer("Tencent Cloud CDN", {"sign": _TIMED_HASH}, "sign"),
    Signer("Upyun", {"_upt": r"[0-9a-f]{8}\d{10}"}, "_upt", written("_upt", r"(\d{10})$")),
    Signer("imgix", {"s": r"[0-9a-f]{32}"}, "s expires", epoch("expires"), host=r".+\.imgix\.(?:net|video)"),
    Signer("ImageKit", {"ik-s": _ANY}, "ik-s ik-t", epoch("ik-t")),
    Signer(
        "Cloudinary, download",
        {"api_key": _ANY, "public_id": _ANY, "signature": _ANY, "timestamp": _ANY},
        "api_key expires_at signature timestamp attachment",
        epoch("expires_at"),
        host=r"api(?:-\w+)?\.cloudinary\.com",
    ),
    Signer("Mux", {"token": _JWT}, "token", token("token"), host=r"(?:stream|image)\.mux\.com"),
    # Messengers, drives and meetings.
    Signer(
        "Discord",
        {"ex": _ANY, "is": _ANY, "hm": _ANY},
        "ex is hm",
        hexadecimal("ex"),
        host=r"(?:cdn|media)\.discordapp\.(?:com|net)",
    ),
    Signer(
        "Dropbox",
        {},
        "rlkey st e raw dl oref",
        host=r"(?:.+\.)?dropbox(?:usercontent)?\.com",
        path=r"/(?:scl|sh?)/",
    ),
    Signer("SharePoint and OneDrive", {"tempauth": _ANY}, "tempauth", token("tempauth")),
    Signer("OneDrive", {"authkey": _ANY}, "authkey", host=r"(?:.+\.)?(?:onedrive\.live\.com|1drv\.ms)"),
    Signer("Slack", {}, "t pub_secret", host=r"files(?:-\w+)?\.slack\.com"),
    Signer(
        "Zoom and Google Drive",
        {"access_token": _ANY},
        "access_token",
        token("access_token"),
        host=r"(?:.+\.)?(?:zoom\.us|googleapis\.com)",
    ),
    Signer(
        "WhatsApp",
        {"mid": _ANY, "ext": _NUMBER, "hash": _ANY},
        "ext hash",
        epoch("ext"),
        host=r"lookaside\.fbsbx\.com",
    ),
    Signer(
        "Facebook and Instagram",
        {"oh": _ANY, "oe": _ANY},
        "oh oe",
        hexadecimal("oe"),
        host=r".+\.(?:fbcdn\.net|cdninstagram\.com|fbsbx\.com)",
    ),
    Signer("GitHub", {"token": _ANY}, "token", host=r"raw\.githubusercontent\.com"),
    # Unknown signers whose expiry is plain. Nothing of theirs is left out.
    Signer("another with a signature", {"signature": _ANY, "expires": _ANY}, "", epoch("expires")),
)
"""All known signers. Several may match one URL: each leaves out its own parameters."""

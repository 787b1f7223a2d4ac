"""The known ways to sign URLs, as one table.

Rules for a row:

- A row may match a URL only if the ignored parameters cannot select another recording. Generic names (`token`, `st`,
  `s`) are matched only on the signer's own hosts and paths, or with a value that can only be a signature.
- Parameters that select an object are in no row: `versionId`, `generation`, `snapshot`, `partNumber`, `x-oss-process`,
  `width`, …
- Parameters that override response headers select no object, and often change with each signature (the file name of a
  download): they are ignored beside a known signature.
"""

from __future__ import annotations

from .expiry import (
    baidu_authorization,
    cloudfront_policy,
    earliest,
    epoch,
    hex_epoch,
    iso_time,
    json_token,
    pattern,
    start_and_duration,
)
from .signer import Signer

__all__ = ["SIGNERS"]

# Regular expressions for whole values. An empty expression accepts any value.
_ANY = ""
_EPOCH = r"\d{9,16}"
_JWT = r"[\w-]+\.[\w-]+\.[\w-]*"
_EXP_AND_HMAC = r"(?=.*\bexp=\d)(?=.*\bhmac=[0-9a-f]).*"
_TIME_AND_MD5 = r"\d{9,10}-\w+-\w+-[0-9a-f]{32}"

_RESPONSE_HEADERS = (
    "response-content-type response-content-language response-expires response-cache-control "
    "response-content-disposition response-content-encoding"
)
_B2_IGNORED = (
    "authorization b2contentdisposition b2contentlanguage b2expires b2cachecontrol b2contentencoding b2contenttype"
)
_BUNNY_IGNORED = "token expires token_path token_countries token_countries_blocked token_ver limit"
_AZURE_IGNORED = (
    "saoid scid sdd se ses si sig sip skdutid ske skoid sks skt sktid skv sp spr sr srt ss st suoid sv "
    "rscc rscd rsce rscl rsct"
)


def _version_2(name: str, docs: str | None, access_key: str, ignored: str) -> Signer:
    """Return a signer in the style of S3 version 2: an access key, an expiry in epoch seconds and a signature."""
    return Signer(
        name,
        docs=docs,
        required={access_key: _ANY, "expires": _ANY, "signature": _ANY},
        ignored=f"{access_key} expires signature {ignored} {_RESPONSE_HEADERS}",
        expiry=epoch("expires"),
    )


def _version_4(name: str, docs: str | None, prefix: str, ignored: str) -> Signer:
    """Return a signer in the style of S3 version 4: six parameters with a prefix, among them date and lifetime."""
    signing = ("algorithm", "credential", "date", "expires", "signedheaders", "signature")
    return Signer(
        name,
        docs=docs,
        required={f"{prefix}signature": _ANY},
        ignored=" ".join([*(f"{prefix}{parameter}" for parameter in signing), ignored, _RESPONSE_HEADERS]),
        expiry=start_and_duration(f"{prefix}date", f"{prefix}expires"),
    )


_OBJECT_STORAGE = (
    # The S3 API is also that of MinIO, Ceph, Wasabi, DigitalOcean, Cloudflare R2, Backblaze, Scaleway, Vercel, …
    _version_4(
        "Amazon S3, signature version 4",
        "docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html",
        "x-amz-",
        "x-amz-security-token x-amz-content-sha256 x-amz-region-set x-amz-s3session-token x-amz-user-agent "
        "x-amz-request-payer x-amz-expected-bucket-owner x-amz-checksum-mode x-amz-sdk-checksum-algorithm x-id",
    ),
    _version_2(
        "Amazon S3, signature version 2",
        "docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html",
        "awsaccesskeyid",
        "x-amz-security-token",
    ),
    _version_4(
        "Google Cloud Storage, version 4",
        "cloud.google.com/storage/docs/access-control/signed-urls",
        "x-goog-",
        "x-goog-content-sha256",
    ),
    _version_2(
        "Google Cloud Storage, version 2",
        "cloud.google.com/storage/docs/access-control/signed-urls-v2",
        "googleaccessid",
        "",
    ),
    *(
        Signer(
            "Azure Storage, shared access signature",
            docs="learn.microsoft.com/rest/api/storageservices/create-service-sas",
            required={"sig": _ANY, **others},
            ignored=_AZURE_IGNORED,
            expiry=iso_time("se"),
        )
        # `sig` is a common name, so it must come with the API version, the expiry, or a stored policy.
        for others in ({"sv": r"\d{4}-.+"}, {"se": r"\d{4}-.+"}, {"si": _ANY, "sr": _ANY})
    ),
    _version_2(
        "Alibaba Cloud OSS, version 1",
        "www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls",
        "ossaccesskeyid",
        "security-token x-oss-traffic-limit",
    ),
    Signer(
        "Alibaba Cloud OSS, version 4",
        docs="www.alibabacloud.com/help/en/oss: Include a V4 signature in a URL",
        required={"x-oss-signature": _ANY},
        ignored="x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-signature "
        "x-oss-additional-headers x-oss-security-token x-oss-traffic-limit x-oss-request-payer "
        f"{_RESPONSE_HEADERS}",
        expiry=start_and_duration("x-oss-date", "x-oss-expires"),
    ),
    Signer(
        "Tencent Cloud COS",
        docs="www.tencentcloud.com/document/product/436/7778",
        required={"q-signature": _ANY},
        ignored="q-sign-algorithm q-ak q-sign-time q-key-time q-header-list q-url-param-list q-signature "
        f"x-cos-security-token x-cos-traffic-limit {_RESPONSE_HEADERS}",
        expiry=earliest(pattern("q-key-time", r"^\d+;(\d{9,11})$"), pattern("q-sign-time", r"^\d+;(\d{9,11})$")),
    ),
    Signer(
        "Tencent Cloud COS, in one parameter",
        docs="www.tencentcloud.com/document/product/436/7778",
        required={"sign": r"(?s).*q-signature=.*"},
        ignored=f"sign x-cos-security-token {_RESPONSE_HEADERS}",
        expiry=pattern("sign", r"q-key-time=\d+;(\d{9,11})\b"),
    ),
    _version_2(
        "Huawei Cloud OBS",
        "support.huaweicloud.com/intl/en-us/api-obs: Authentication of Signature in a URL",
        "accesskeyid",
        "x-obs-security-token x-obs-traffic-limit",
    ),
    _version_4(
        "Volcano Engine TOS",
        "docs.byteplus.com/en/docs/tos/reference-including-a-signature-in-the-url",
        "x-tos-",
        "x-tos-security-token x-tos-policy",
    ),
    _version_2("Kingsoft KS3", None, "kssaccesskeyid", ""),
    Signer(
        "Baidu Cloud BOS",
        docs=None,
        required={"authorization": r"bce-auth-v\d/.+"},
        ignored="authorization x-bce-security-token responsecontenttype responsecontentdisposition",
        expiry=baidu_authorization("authorization"),
    ),
    Signer(
        "Backblaze B2",
        docs="www.backblaze.com/apidocs/b2-get-download-authorization",
        required={"authorization": _ANY},
        ignored=_B2_IGNORED,
        expiry=pattern("authorization", r"_(\d{14})_\d+_dnld"),
        host=r"(?:.+\.)?backblazeb2\.com",
    ),
    Signer(
        "Backblaze B2, on another host",
        docs="www.backblaze.com/apidocs/b2-get-download-authorization",
        required={"authorization": r"[\w=-]+_dnld"},
        ignored=_B2_IGNORED,
        expiry=pattern("authorization", r"_(\d{14})_\d+_dnld"),
    ),
    Signer(
        "OpenStack Swift",
        docs="docs.openstack.org/swift/latest/api/temporary_url_middleware.html",
        required={"temp_url_sig": _ANY, "temp_url_expires": _ANY},
        ignored="temp_url_sig temp_url_expires temp_url_prefix temp_url_ip_range filename inline",
        expiry=earliest(epoch("temp_url_expires"), iso_time("temp_url_expires")),
    ),
    Signer(
        "Oracle Cloud, pre-authenticated request",
        docs="docs.oracle.com/iaas/Content/Object/Tasks/usingpreauthenticatedrequests.htm",
        host=r"(?:.+\.)?(?:oraclecloud\.com|oci\.customer-oci\.com)",
        path_signature=r"^/p/[^/]+(?=/n/)",
    ),
    Signer(
        "Qiniu",
        docs="developer.qiniu.com/kodo/1202/download-token",
        required={"e": _EPOCH, "token": r"[\w-]{16,}:[\w=-]{20,}"},
        ignored="e token attname",
        expiry=epoch("e"),
    ),
)

_PLATFORMS = (
    Signer(
        "Supabase",
        docs="supabase.com/docs/guides/storage/serving/downloads",
        required={"token": _ANY},
        ignored="token download",
        expiry=json_token("token"),
        path_prefix=r".*/storage/v1/(?:object|render/image)/sign/",
    ),
    Signer(
        "Firebase",
        docs="firebase.google.com/docs/storage/web/download-files",
        required={"token": _ANY},
        ignored="token",
        path_prefix=r"/v0/b/[^/]+/o/",
    ),
    Signer(
        "Pinata",
        docs=None,
        required={"x-algorithm": r"PINATA\d*", "x-date": _ANY, "x-expires": _ANY, "x-signature": _ANY},
        ignored="x-algorithm x-date x-expires x-method x-signature",
        expiry=start_and_duration("x-date", "x-expires"),
    ),
    Signer(
        "Laravel",
        docs="laravel.com/docs/urls#signed-urls",
        required={"signature": r"[0-9a-f]{64}", "expires": _EPOCH},
        ignored="signature expires",
        expiry=epoch("expires"),
    ),
)

_CONTENT_DELIVERY_NETWORKS = (
    Signer(
        "Amazon CloudFront",
        docs="docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html",
        required={"key-pair-id": _ANY, "signature": _ANY},
        ignored="expires hash-algorithm key-pair-id policy signature",
        expiry=earliest(epoch("expires"), cloudfront_policy("policy")),
    ),
    Signer(
        "Google Cloud CDN and Media CDN",
        docs="cloud.google.com/cdn/docs/using-signed-urls",
        required={"expires": _ANY, "keyname": _ANY, "signature": _ANY},
        ignored="urlprefix expires keyname signature fullpath pathglobs starts",
        expiry=epoch("expires"),
    ),
    Signer(
        "Google Media CDN, in one parameter",
        docs="cloud.google.com/media-cdn/docs/signed-requests",
        required={"edge-cache-token": r".*Expires=\d+.*"},
        ignored="edge-cache-token",
        expiry=pattern("edge-cache-token", r"Expires=(\d{9,16})"),
    ),
    Signer(
        "Bunny",
        docs="docs.bunny.net/docs/cdn-token-authentication",
        required={"token": _ANY, "expires": _EPOCH},
        ignored=_BUNNY_IGNORED,
        expiry=epoch("expires"),
        host=r"(?:.+\.)?b-cdn\.net",
    ),
    Signer(
        "Bunny, on another host",
        docs="docs.bunny.net/docs/cdn-token-authentication",
        required={"token": r"(?:HS256-)?[\w-]{22,}", "expires": _EPOCH, "token_path": _ANY},
        ignored=_BUNNY_IGNORED,
        expiry=epoch("expires"),
    ),
    Signer(
        "Bunny, in the path",
        docs="docs.bunny.net/docs/cdn-token-authentication",
        expiry=epoch("expires"),
        path_signature=r"^/bcdn_token=[^/&]+(?:&(?:expires=(?P<expires>\d+)|token_\w+=[^/&]*))*(?=/)",
    ),
    *(
        Signer(
            "Akamai, and services that use its token format",
            docs="github.com/akamai/EdgeAuth-Token-Python",
            required={name: _EXP_AND_HMAC},
            ignored=name,
            expiry=pattern(name, r"(?:^|~)exp=(\d{9,16})(?:~|$)"),
        )
        for name in ("__token__", "__cld_token__", "hdnea", "hdntl", "hdnts", "hdnst", "token", "acl_token")
    ),
    Signer(
        "Akamai, in the path",
        docs="github.com/akamai/EdgeAuth-Token-Python",
        expiry=epoch("exp"),
        path_signature=r"^/(?:\w+=)?(?:st=\d+~)?exp=(?P<exp>\d+)~[^/]*hmac=[0-9a-f]+(?=/)",
    ),
    Signer(
        "Fastly",
        docs="github.com/fastly/token-functions",
        required={"token": r"(?:\d{10}|0x[0-9a-f]{8}|[0-9a-f]{8})_(?:0x)?(?:[0-9a-f]{40}|[0-9a-f]{64})"},
        ignored="token",
        expiry=pattern("token", r"^(\d{10})_"),
    ),
    Signer(
        "Cloudflare",
        docs="developers.cloudflare.com/waf/custom-rules/use-cases/configure-token-authentication/",
        required={"verify": r"\d{10}-[\w+/=-]{43,}"},
        ignored="verify",
    ),
    Signer(
        "Alibaba Cloud CDN",
        docs="www.alibabacloud.com/help/en/cdn/user-guide/type-a-signing",
        required={"auth_key": _TIME_AND_MD5},
        ignored="auth_key",
    ),
    Signer("Tencent Cloud CDN", docs=None, required={"sign": _TIME_AND_MD5}, ignored="sign"),
    Signer(
        "Upyun",
        docs=None,
        required={"_upt": r"[0-9a-f]{8}\d{10}"},
        ignored="_upt",
        expiry=pattern("_upt", r"(\d{10})$"),
    ),
    Signer(
        "imgix",
        docs="docs.imgix.com: Securing assets",
        required={"s": r"[0-9a-f]{32}"},
        ignored="s expires",
        expiry=epoch("expires"),
        host=r".+\.imgix\.(?:net|video)",
    ),
    Signer(
        "ImageKit",
        docs="imagekit.io/docs/media-delivery-basic-security",
        required={"ik-s": _ANY},
        ignored="ik-s ik-t",
        expiry=epoch("ik-t"),
    ),
    Signer(
        "Cloudinary, download",
        docs="cloudinary.com/documentation/control_access_to_media",
        required={"api_key": _ANY, "public_id": _ANY, "signature": _ANY, "timestamp": _ANY},
        ignored="api_key expires_at signature timestamp attachment",
        expiry=epoch("expires_at"),
        host=r"api(?:-\w+)?\.cloudinary\.com",
    ),
    Signer(
        "Mux",
        docs="www.mux.com/docs/guides/secure-video-playback",
        required={"token": _JWT},
        ignored="token",
        expiry=json_token("token"),
        host=r"(?:stream|image)\.mux\.com",
    ),
)

_MESSENGERS_AND_DRIVES = (
    Signer(
        "Discord",
        docs="discord.com/developers/docs/reference#signed-attachment-cdn-urls",
        required={"ex": _ANY, "is": _ANY, "hm": _ANY},
        ignored="ex is hm",
        expiry=hex_epoch("ex"),
        host=r"(?:cdn|media)\.discordapp\.(?:com|net)",
    ),
    Signer(
        "Dropbox",
        docs=None,
        ignored="rlkey st e raw dl oref",
        host=r"(?:.+\.)?dropbox(?:usercontent)?\.com",
        path_prefix=r"/(?:scl|sh?)/",
    ),
    Signer(
        "SharePoint and OneDrive",
        docs=None,
        required={"tempauth": _ANY},
        ignored="tempauth",
        expiry=json_token("tempauth"),
    ),
    Signer(
        "OneDrive",
        docs=None,
        required={"authkey": _ANY},
        ignored="authkey",
        host=r"(?:.+\.)?(?:onedrive\.live\.com|1drv\.ms)",
    ),
    Signer("Slack", docs=None, ignored="t pub_secret", host=r"files(?:-\w+)?\.slack\.com"),
    Signer(
        "Zoom and Google Drive",
        docs=None,
        required={"access_token": _ANY},
        ignored="access_token",
        expiry=json_token("access_token"),
        host=r"(?:.+\.)?(?:zoom\.us|googleapis\.com)",
    ),
    Signer(
        "WhatsApp",
        docs="developers.facebook.com/docs/whatsapp/cloud-api/reference/media",
        required={"mid": _ANY, "ext": _EPOCH, "hash": _ANY},
        ignored="ext hash",
        expiry=epoch("ext"),
        host=r"lookaside\.fbsbx\.com",
    ),
    Signer(
        "Facebook and Instagram",
        docs=None,
        required={"oh": _ANY, "oe": _ANY},
        ignored="oh oe",
        expiry=hex_epoch("oe"),
        host=r".+\.(?:fbcdn\.net|cdninstagram\.com|fbsbx\.com)",
    ),
    Signer(
        "GitHub",
        docs=None,
        required={"token": _ANY},
        ignored="token",
        host=r"raw\.githubusercontent\.com",
    ),
)

# An unknown signer whose expiry is readable. Nothing is ignored, because these names may select an object.
_UNKNOWN_SIGNERS = (
    Signer(
        "unknown signer with an expiry",
        docs=None,
        required={"signature": _ANY, "expires": _ANY},
        expiry=epoch("expires"),
    ),
)

SIGNERS = (*_OBJECT_STORAGE, *_PLATFORMS, *_CONTENT_DELIVERY_NETWORKS, *_MESSENGERS_AND_DRIVES, *_UNKNOWN_SIGNERS)
"""All known signers. Several may match one URL; the parameters of all of them are ignored."""

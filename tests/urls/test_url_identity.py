"""The identity and the expiry of presigned URLs."""

import base64
import json
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async.urls.signers import SIGNERS
from pyannote_voiceprint_async.urls.url_identity import url_expires_at, url_identity

OBJECT = "https://bucket.s3.eu-west-1.amazonaws.com/team/Anna%20M.wav"
AMAZON = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260131%2Feu-west-1%2Fs3%2Faws4_request"
    "&X-Amz-Date={date}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature={signature}"
)
GOOGLE = (
    "X-Goog-Algorithm=GOOG4&X-Goog-Credential=a%40b&X-Goog-Date={date}&X-Goog-Expires=3600&X-Goog-Signature={signature}"
)
S3 = "AWSAccessKeyId=AKIA&Signature={signature}&Expires=1769817600"
OLD_GOOGLE = "GoogleAccessId=a%40b&Expires=1769817600&Signature={signature}"
CANNED = "Expires=1769817600&Signature={signature}&Key-Pair-Id=K2"
AZURE = "sp=r&st=2026-01-30T00:00:00Z&se=2026-01-31T00:00:00Z&spr=https&sv=2022-11-02&sr=b&sig={signature}"
SIGNATURES = [AMAZON, AMAZON.lower(), GOOGLE, S3, OLD_GOOGLE, CANNED, AZURE]

JAN_31 = 1769817600.0  # 2026-01-31T00:00:00Z


def policy(end):
    statement = {"Resource": "https://e.com/a", "Condition": {"DateLessThan": {"AWS:EpochTime": end}}}
    said = base64.b64encode(json.dumps({"Statement": [statement]}).encode()).decode()
    return said.translate(str.maketrans("+=/", "-_~"))


@pytest.mark.parametrize("signing", SIGNATURES)
def test_a_new_signature_does_not_change_the_identity(signing):
    one = f"{OBJECT}?{signing.format(date='20260131T000000Z', signature='a%2Bb')}"
    two = f"{OBJECT}?{signing.format(date='20260201T080000Z', signature='c')}"
    assert (url_identity(one), url_identity(two)) == (OBJECT, OBJECT)


@pytest.mark.parametrize("signing", SIGNATURES)
def test_parameters_that_do_not_sign_are_kept(signing):
    signing = signing.format(date="20260131T000000Z", signature="a")
    assert url_identity(f"{OBJECT}?versionId=1&{signing}&id=%37&flag") == f"{OBJECT}?versionId=1&id=7&flag"


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        # URLs that are their own identity.
        ("https://example.com", "https://example.com"),
        ("https://example.com/A/b.wav", "https://example.com/A/b.wav"),
        ("https://example.com/get?sp=1", "https://example.com/get?sp=1"),
        ("https://example.com/get?sig=1&sp=1", "https://example.com/get?sig=1&sp=1"),
        ("https://example.com/get?Expires=7", "https://example.com/get?Expires=7"),
        ("https://example.com/get?Signature=7&Expires=7", "https://example.com/get?Signature=7&Expires=7"),
        ("https://example.com/get?Policy=7", "https://example.com/get?Policy=7"),
        ("https://example.com/get?b=2&a=1&&b=2", "https://example.com/get?b=2&a=1&&b=2"),
        ("https://example.com/get?a=1?b=%2F", "https://example.com/get?a=1?b=%2F"),
        ("media://Team/Anna.wav", "media://Team/Anna.wav"),
        ("s3://Bucket/key?versionId=1#x", "s3://Bucket/key?versionId=1#x"),
        ("anna", "anna"),
        ("", ""),
        # Normalized spelling.
        ("HTTPS://Example.COM/A", "https://example.com/A"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("https://user:pass@word@Example.com/a?id=1", "https://user@example.com/a?id=1"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("https://example.com/a#part?id=1", "https://example.com/a"),
        ("https://example.com/a?id=1#part", "https://example.com/a?id=1"),
        ("https://example.com/a?", "https://example.com/a"),
        # Signatures with fewer parameters.
        ("https://e.com/a?sig=x&si=policy&sr=b", "https://e.com/a"),
        ("https://e.com/a?sv=2022-11-02&sig=x&snapshot=2026", "https://e.com/a?snapshot=2026"),
        ("https://e.com/a?Policy=p&Signature=s&Key-Pair-Id=k&v=2", "https://e.com/a?v=2"),
    ],
)
def test_identities(url, identity):
    assert url_identity(url) == identity


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=3600&X-Amz-Signature=a", JAN_31),
        ("id=7&x-amz-expires=3600&x-amz-date=20260130T230000Z&x-amz-signature=a", JAN_31),
        ("X-Goog-Date=20260130T230000Z&X-Goog-Expires=3600&X-Goog-Signature=a", JAN_31),
        ("se=2026-01-31T00%3A00%3A00Z&sig=a", JAN_31),
        ("se=2026-01-31T00:00Z&sig=a", JAN_31),
        ("se=2026-01-31T01:00:00.0000000%2B01:00&sig=a", JAN_31),
        ("se=2026-01-31&sig=a", JAN_31),
        (S3, JAN_31),
        (OLD_GOOGLE, JAN_31),
        (CANNED, JAN_31),
        (f"Policy={policy(1769817600)}&Signature=a&Key-Pair-Id=k", JAN_31),
        (f"Policy={quote(policy(1769817600))}&Signature=a&Key-Pair-Id=k", JAN_31),
        ("X-Amz-Date=19700101T000000Z&X-Amz-Expires=0&X-Amz-Signature=a", 0.0),
        # Not presigned, or with an unreadable expiry.
        ("id=7", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=3600", None),
        ("Expires=1769817600", None),
        ("se=2026-01-31", None),
        ("se=soon&sig=a", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Signature=a", None),
        ("X-Amz-Expires=3600&X-Amz-Signature=a", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600&X-Amz-Signature=a", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=-1&X-Amz-Signature=a", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=\u0663&X-Amz-Signature=a", None),
        ("Expires=1e400&Signature=a", None),
        (f"Expires={'9' * 5000}&Signature=a", None),
        ("Policy=%&Signature=a", None),
        ("Policy=ae&Signature=a", None),
        (f"Policy={policy('soon')}&Signature=a", None),
    ],
)
def test_url_expires_at(query, end):
    assert url_expires_at(f"{OBJECT}?{query}") == end


def test_a_url_without_query_has_no_expiry():
    assert (url_expires_at(OBJECT), url_expires_at(f"{OBJECT}#?Expires=1&Signature=2"), url_expires_at("")) == (
        None,
    ) * 3


def encoded(**claims):
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def jwt(end, signature="c2ln"):
    return f"{encoded(alg='HS256')}.{encoded(url='voices/a.wav', exp=end)}.{signature}"


HEX32, HEX64, BASE43 = "0123456789abcdef" * 2, "0123456789abcdef" * 4, "Ab-_" * 10 + "Abc"
END, LATER = 1769817600, 1769904000  # JAN_31, and a day later
RESPONSE = "response-content-disposition=attachment%3B%20filename%3D{0}.wav&response-content-type=audio%2Fwav"

# The signer; a URL with {0} for its expiry and {1} for its signature; its identity; two expiries to insert.
SIGNED = [
    (
        "S3 for the JavaScript SDK",
        "https://b.s3.amazonaws.com/a.wav?versionId=7&x-id=GetObject&X-Amz-Checksum-Mode=ENABLED&"
        + AMAZON.replace("{date}", "{0}").replace("{signature}", "{1}"),
        "https://b.s3.amazonaws.com/a.wav?versionId=7",
        ("20260130T230000Z", "20260131T230000Z"),
    ),
    (
        "S3 version 2",
        f"https://minio:9000/b/a.wav?AWSAccessKeyId=AK&Signature={{1}}&Expires={{0}}&{RESPONSE}",
        "https://minio:9000/b/a.wav",
        (END, LATER),
    ),
    (
        "Azure",
        "https://acc.blob.core.windows.net/c/a.wav?versionid=2&sv=2022-11-02&se={0}&sr=b&sp=r&rscd=x&sig={1}",
        "https://acc.blob.core.windows.net/c/a.wav?versionid=2",
        ("2026-01-31T00%3A00%3A00Z", "2026-02-01T00%3A00%3A00Z"),
    ),
    (
        "Supabase",
        "https://proj.supabase.co/storage/v1/object/sign/voices/ada.wav?token={0}",
        "https://proj.supabase.co/storage/v1/object/sign/voices/ada.wav",
        (jwt(END), jwt(LATER, "YmFz")),
    ),
    (
        "Firebase",
        "https://firebasestorage.googleapis.com/v0/b/app.appspot.com/o/voices%2Fada.wav?alt=media&token={1}",
        "https://firebasestorage.googleapis.com/v0/b/app.appspot.com/o/voices%2Fada.wav?alt=media",
        None,
    ),
    (
        "OSS version 1",
        (
            f"https://b.oss-cn-hangzhou.aliyuncs.com/a.wav?OSSAccessKeyId=L&Expires={{0}}&Signature={{1}}&security-token=t"
            f"&{RESPONSE}"
        ),
        "https://b.oss-cn-hangzhou.aliyuncs.com/a.wav",
        (END, LATER),
    ),
    (
        "OSS version 4",
        (
            "https://b.oss-cn-hangzhou.aliyuncs.com/a.wav?x-oss-process=audio%2Fconvert&x-oss-signature-version=OSS4&"
            "x-oss-credential=c&x-oss-date={0}&x-oss-expires=3600&x-oss-signature={1}&x-oss-security-token=t"
        ),
        "https://b.oss-cn-hangzhou.aliyuncs.com/a.wav?x-oss-process=audio%2Fconvert",
        ("20260130T230000Z", "20260131T230000Z"),
    ),
    (
        "COS",
        (
            "https://b-1.cos.ap-guangzhou.myqcloud.com/a.wav?q-sign-algorithm=sha1&q-ak=A&q-sign-time=1;{0}&q-key-time=1%3B{0}"
            "&q-header-list=host&q-url-param-list=&q-signature={1}&x-cos-security-token=t"
        ),
        "https://b-1.cos.ap-guangzhou.myqcloud.com/a.wav",
        (END, LATER),
    ),
    (
        "COS in one parameter",
        (
            "https://b-1.cos.ap-guangzhou.myqcloud.com/a.wav?sign=q-sign-algorithm%3Dsha1%26q-key-time%3D1%3B{0}"
            "%26q-signature%3D{1}"
        ),
        "https://b-1.cos.ap-guangzhou.myqcloud.com/a.wav",
        (END, LATER),
    ),
    (
        "OBS",
        "https://b.obs.cn-north-4.myhuaweicloud.com/a.wav?AccessKeyId=A&Expires={0}&Signature={1}&x-obs-security-token=t",
        "https://b.obs.cn-north-4.myhuaweicloud.com/a.wav",
        (END, LATER),
    ),
    (
        "TOS",
        (
            "https://b.tos-cn-beijing.volces.com/a.wav?X-Tos-Algorithm=T&X-Tos-Credential=c&X-Tos-Date={0}"
            "&X-Tos-Expires=3600&X-Tos-SignedHeaders=host&X-Tos-Signature={1}"
        ),
        "https://b.tos-cn-beijing.volces.com/a.wav",
        ("20260130T230000Z", "20260131T230000Z"),
    ),
    (
        "BOS",
        "https://b.bj.bcebos.com/a.wav?authorization=bce-auth-v1%2Fak%2F{0}%2F3600%2Fhost%2F{1}",
        "https://b.bj.bcebos.com/a.wav",
        ("2026-01-30T23%3A00%3A00Z", "2026-01-31T23%3A00%3A00Z"),
    ),
    (
        "KS3",
        "https://b.ks3-cn-beijing.ksyun.com/a.wav?KSSAccessKeyId=A&Expires={0}&Signature={1}",
        "https://b.ks3-cn-beijing.ksyun.com/a.wav",
        (END, LATER),
    ),
    (
        "B2",
        "https://f001.backblazeb2.com/file/b/a.wav?Authorization=3_20260130000000_0a_0b_000_{0}_0006_dnld",
        "https://f001.backblazeb2.com/file/b/a.wav",
        ("20260131000000", "20260201000000"),
    ),
    (
        "B2 behind another host",
        "https://cdn.example.com/file/b/a.wav?Authorization=3_20260130000000_0a_0b_000_{0}_0006_dnld",
        "https://cdn.example.com/file/b/a.wav",
        ("20260131000000", "20260201000000"),
    ),
    (
        "Swift",
        "https://swift.example.com/v1/AUTH_a/c/a.wav?temp_url_sig={1}&temp_url_expires={0}&filename=x.wav",
        "https://swift.example.com/v1/AUTH_a/c/a.wav",
        (END, LATER),
    ),
    (
        "Swift with a date",
        "https://swift.example.com/v1/AUTH_a/c/a.wav?temp_url_sig={1}&temp_url_expires={0}",
        "https://swift.example.com/v1/AUTH_a/c/a.wav",
        ("2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"),
    ),
    (
        "Oracle",
        "https://objectstorage.eu-frankfurt-1.oraclecloud.com/p/{1}/n/ns/b/bucket/o/a.wav",
        "https://objectstorage.eu-frankfurt-1.oraclecloud.com/n/ns/b/bucket/o/a.wav",
        None,
    ),
    (
        "Qiniu",
        "https://cdn.example.com/a.wav?e={0}&token=MY_ACCESS_KEY_000:yN9WtB0lQheegAwva64yBuH3Zgs{1}=",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Pinata",
        "https://my.mypinata.cloud/files/cid?X-Algorithm=PINATA1&X-Date={0}&X-Expires=3600&X-Method=GET&X-Signature={1}",
        "https://my.mypinata.cloud/files/cid",
        (END - 3600, LATER - 3600),
    ),
    (
        "Laravel",
        f"https://app.example.com/files/7?expires={{0}}&user=1&signature={HEX64[:-3]}{{1}}",
        "https://app.example.com/files/7?user=1",
        (END, LATER),
    ),
    (
        "CloudFront",
        "https://d1.cloudfront.net/a.wav?Expires={0}&Signature={1}&Key-Pair-Id=K",
        "https://d1.cloudfront.net/a.wav",
        (END, LATER),
    ),
    (
        "Cloud CDN",
        "https://cdn.example.com/a.wav?Expires={0}&KeyName=k&Signature={1}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Cloud CDN with a prefix",
        "https://cdn.example.com/a.wav?URLPrefix=aHR0cHM6Ly9&Expires={0}&KeyName=k&Signature={1}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Media CDN",
        "https://media.example.com/a.wav?edge-cache-token=URLPrefix=aHR0~Expires={0}~KeyName=k~Signature={1}",
        "https://media.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Bunny",
        f"https://voices.b-cdn.net/a.wav?token={BASE43}{{1}}&expires={{0}}&token_countries=DE",
        "https://voices.b-cdn.net/a.wav",
        (END, LATER),
    ),
    (
        "Bunny on another host",
        f"https://cdn.example.com/a.wav?token=HS256-{BASE43}{{1}}&token_path=%2F&expires={{0}}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Bunny in the path",
        f"https://cdn.example.com/bcdn_token={BASE43}{{1}}&expires={{0}}&token_path=%2Fv%2F/v/a.wav",
        "https://cdn.example.com/v/a.wav",
        (END, LATER),
    ),
    (
        "Akamai",
        "https://cdn.example.com/a.wav?hdnts=st=1~exp={0}~acl=/*~hmac={1}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Akamai, encoded",
        "https://cdn.example.com/a.wav?__token__=exp%3D{0}%7Eacl%3D%2F%2A%7Ehmac%3D{1}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Akamai in the path",
        "https://vod.akamaized.net/exp={0}~acl=%2Fv%2F~hmac={1}/v/a.mp4",
        "https://vod.akamaized.net/v/a.mp4",
        (END, LATER),
    ),
    (
        "Fastly",
        f"https://cdn.example.com/a.wav?token={{0}}_{HEX32[:5]}{HEX32}{{1}}",
        "https://cdn.example.com/a.wav",
        (END, LATER),
    ),
    (
        "Cloudflare",
        f"https://cdn.example.com/a.wav?verify=1769817600-{BASE43}{{1}}",
        "https://cdn.example.com/a.wav",
        None,
    ),
    (
        "Alibaba CDN",
        f"https://c.example.com/a.wav?auth_key=1769817600-0-0-{HEX32[3:]}{{1}}",
        "https://c.example.com/a.wav",
        None,
    ),
    (
        "Tencent CDN",
        f"https://c.example.com/a.wav?sign=1769817600-r-0-{HEX32[3:]}{{1}}",
        "https://c.example.com/a.wav",
        None,
    ),
    ("Upyun", "https://c.example.com/a.wav?_upt=12345{1}{0}", "https://c.example.com/a.wav", (END, LATER)),
    (
        "imgix",
        f"https://my.imgix.net/a.mp4?fm=mp3&expires={{0}}&s={HEX32[3:]}{{1}}",
        "https://my.imgix.net/a.mp4?fm=mp3",
        (END, LATER),
    ),
    ("ImageKit", "https://ik.imagekit.io/me/a.mp3?ik-t={0}&ik-s={1}", "https://ik.imagekit.io/me/a.mp3", (END, LATER)),
    (
        "Cloudinary",
        "https://api.cloudinary.com/v1_1/me/video/download?public_id=a&api_key=1&timestamp=1&expires_at={0}&signature={1}",
        "https://api.cloudinary.com/v1_1/me/video/download?public_id=a",
        (END, LATER),
    ),
    (
        "Mux",
        "https://stream.mux.com/ID/audio.m4a?token={0}",
        "https://stream.mux.com/ID/audio.m4a",
        (jwt(END), jwt(LATER)),
    ),
    (
        "Discord",
        "https://cdn.discordapp.com/attachments/1/2/a.ogg?ex={0}&is=697d0000&hm={1}&",
        "https://cdn.discordapp.com/attachments/1/2/a.ogg",
        (f"{END:x}", f"{LATER:x}"),
    ),
    (
        "Dropbox",
        "https://www.dropbox.com/scl/fi/id/a.wav?rlkey=k&st={1}&dl=1",
        "https://www.dropbox.com/scl/fi/id/a.wav",
        None,
    ),
    (
        "SharePoint",
        "https://me.sharepoint.com/_layouts/15/download.aspx?UniqueId=g&Translate=false&tempauth=v1.{0}.{1}",
        "https://me.sharepoint.com/_layouts/15/download.aspx?UniqueId=g&Translate=false",
        (encoded(exp=str(END)), encoded(exp=str(LATER))),
    ),
    (
        "OneDrive",
        "https://onedrive.live.com/download?resid=r&authkey={1}",
        "https://onedrive.live.com/download?resid=r",
        None,
    ),
    (
        "Slack",
        "https://files.slack.com/files-pri/T-F/download/a.wav?t={1}",
        "https://files.slack.com/files-pri/T-F/download/a.wav",
        None,
    ),
    (
        "Zoom",
        "https://us02web.zoom.us/rec/download/r?access_token={0}",
        "https://us02web.zoom.us/rec/download/r",
        (jwt(END), jwt(LATER)),
    ),
    (
        "WhatsApp",
        "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=7&ext={0}&hash={1}",
        "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=7",
        (END, LATER),
    ),
    (
        "Facebook",
        "https://scontent.fbcdn.net/v/a.mp4?_nc_cat=1&oh={1}&oe={0}",
        "https://scontent.fbcdn.net/v/a.mp4?_nc_cat=1",
        (f"{END:x}", f"{LATER:X}"),
    ),
    (
        "GitHub",
        "https://raw.githubusercontent.com/o/r/main/a.wav?token={1}",
        "https://raw.githubusercontent.com/o/r/main/a.wav",
        None,
    ),
]


@pytest.mark.parametrize(("url", "identity", "ends"), [case[1:] for case in SIGNED], ids=[case[0] for case in SIGNED])
def test_each_signer_may_sign_again(url, identity, ends):
    one, two = ends or ("", "")
    assert url_identity(url.format(one, "abc")) == identity
    assert url_identity(url.format(two, "def")) == identity
    assert url_identity(identity) == identity
    expected = (float(END), float(LATER)) if ends else (None, None)
    assert (url_expires_at(url.format(one, "abc")), url_expires_at(url.format(two, "def"))) == expected


@pytest.mark.parametrize("url", [case[1] for case in SIGNED], ids=[case[0] for case in SIGNED])
def test_a_signer_never_merges_two_recordings(url):
    """Another path, another version and another id are other recordings, however they are signed."""
    url = url.format("1769817600", "abc")
    mark = "&" if "?" in url else "?"
    place, _, query = url.partition("?")
    others = [f"{url}{mark}id=2", f"{url}{mark}versionId=2", f"{url}{mark}generation=2", f"{place}2?{query}"]
    assert len({url_identity(one) for one in (url, *others)}) == 5


def test_every_row_of_the_table_matches_an_example():
    examples = [url.format(*(ends or ("", ""))[:1], "abc") for _, url, _, ends in SIGNED]
    examples += [f"{OBJECT}?{signing.format(date='20260131T000000Z', signature='a')}" for signing in SIGNATURES]
    examples += ["https://e.com/a?Expires=1&Signature=s"]
    examples += [f"https://e.com/a?{name}=exp=1~hmac=0a" for name in ("__cld_token__", "hdnea", "hdntl", "hdnst")]
    examples += ["https://e.com/a?token=exp=1~hmac=0a", "https://e.com/a?acl_token=exp=1~hmac=0a"]
    examples += ["https://e.com/a?sig=x&si=policy&sr=b"]
    unused = [signer for signer in SIGNERS if not any(_signs(signer, url) for url in examples)]
    assert [signer.name for signer in unused] == []


def _signs(signer, url):
    host, path, query = re.fullmatch(r"https?://([^/?:]*)[^/?]*([^?]*)\??(.*)", url).groups()
    pairs = [parameter.partition("=") for parameter in query.split("&")]
    return signer.matches(host, path, {unquote(name).lower(): unquote(value) for name, _, value in pairs})


@pytest.mark.parametrize(
    "url",
    [
        # The parameter may select the recording.
        "https://example.com/download?token=one",
        f"https://example.com/download?token={jwt(END)}",
        f"https://example.com/audio.mp3?token={BASE43}&expires=1769817600",
        "https://example.com/storage/object/sign?token=one",
        "https://example.com/get?st=1&dl=2&rlkey=3",
        "https://example.com/get?t=1",
        "https://example.com/get?s=0123456789abcdef0123456789abcdef",
        "https://example.com/get?ex=1&is=2&hm=3",
        "https://example.com/get?Authorization=me",
        "https://example.com/me/recording?access_token=me",
        "https://example.com/get?signature=7&expires=1769817600",
        "https://example.com/get?verify=7",
        "https://example.com/get?sign=7",
        "https://example.com/get?e=7&token=8",
        "https://example.com/get?sig=abc&se=4",
        "https://example.com/get?response-content-type=audio",
        "https://evil-b-cdn.net/a.wav?token=x&expires=1769817600",
        "https://b-cdn.net.example.com/a.wav?token=x&expires=1769817600",
        "https://example.com/p/secret/n/ns/b/bucket/o/a.wav",
    ],
)
def test_parameters_that_may_select_a_recording_are_kept(url):
    assert url_identity(url) == url


@pytest.mark.parametrize(
    ("end", "read"),
    [(END, JAN_31), (float(END), JAN_31), (str(END), JAN_31), (END * 1000, JAN_31), (END * 10**6, JAN_31),
     (True, None), (None, None), ("soon", None), ([], None), (-1, None), (1e300, None), (10**400, None)],
)  # fmt: skip
def test_the_expiry_of_a_token_is_read_in_every_unit(end, read):
    assert url_expires_at(f"https://stream.mux.com/a.m4a?token={jwt(end)}") == read


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "%.%.%", f"{encoded()}.x", "W10", "W" * 100_000, "[" * 30_000])
def test_a_token_without_an_expiry(token):
    assert url_expires_at(f"https://p.supabase.co/storage/v1/object/sign/a.wav?token={token}") is None


def test_the_earliest_of_several_expiries_counts():
    two = f"{CANNED.format(signature='a')}&{AMAZON.format(date='20260130T220000Z', signature='b')}"
    assert url_expires_at(f"{OBJECT}?{two}") == JAN_31 - 3600


PIECES = st.sampled_from(
    ["http", "https", "HTTPS", "://", "/", "?", "&", "#", "@", ":", ":80", "[", "]", "=", "%", "e.com", "Expires",
     "sig", "se", "sv", "Signature", "Policy", "Key-Pair-Id", "X-Amz-Date", "X-Amz-Expires", "X-Goog-Date",
     "0001-01-01", "9999-12-31T23:59:59-23:59", "20260131T000000Z", "\ud800", "\0", "é", "7"]
)  # fmt: skip


@given(st.text() | st.lists(PIECES).map("".join))
@example("https://e.com/?sig=1&se=0001-01-01T00:00:00%2B23:59")
@example("https://e.com/?X-Amz-Date=99991231T235959Z&X-Amz-Expires=99999999999&X-Amz-Signature=a")
@example("https://e.com/?temp_url_sig=1&temp_url_expires=9999-12-31T23:59:59-23:59")
@example("https://a..bü/")
@example("https://" + "ü" * 80 + ".com/")
def test_no_text_raises_an_error(url):
    assert isinstance(url_identity(url), str)
    assert isinstance(url_expires_at(url), float | None)


NAMES = st.sampled_from(["id", "v", "sp", "sig", "se", "expires", "signature", "key-pair-id", "x-amz-id"])
QUERIES = st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "2"]))).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@given(QUERIES)
def test_an_identity_is_its_own_identity(query):
    identity = url_identity(f"https://example.com/a?{query}")
    assert url_identity(identity) == identity


@given(QUERIES, QUERIES, st.sampled_from(SIGNATURES))
def test_signing_never_makes_two_objects_one(one, two, signing):
    """`id` and `v` belong to no signature: URLs that differ in them are different objects."""
    assert (selecting_parameters(one) == selecting_parameters(two)) or (
        url_identity(f"{OBJECT}?{one}&{signing}") != url_identity(f"{OBJECT}?{two}&{signing}")
    )


def selecting_parameters(query):
    return [piece for piece in query.split("&") if piece.startswith(("id=", "v="))]

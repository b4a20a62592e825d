"""Signatures are botocore's, byte for byte, whatever is signed."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tablecast.aws.sigv4 import Keys, Signer, amz_date, percent_encoded

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-", min_size=1, max_size=12)
HOSTS = st.sampled_from(
    [
        "sqs.us-east-1.amazonaws.com",
        "127.0.0.1:4566",
        "bucket.s3.eu-west-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "localhost",
        "[::1]:8000",
    ]
)
PATHS = st.text("/.aZ0-_~%2 +*'()!,;:=@&$ü\u20ac", max_size=40).map(lambda text: "/" + text)
QUERIES = st.lists(
    st.tuples(st.text("abAB09-_.~%2", max_size=6), st.text("abAB09-_.~%2=", max_size=6)), max_size=5
).map(lambda pairs: "&".join(f"{name}={value}" if value else name for name, value in pairs))
VALUES = st.text(st.sampled_from(" \t\x85\u00a0\u2003aZ0,;:\"'=/+ü\u20ac"), max_size=30)
HEADERS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(
                [
                    "Content-Type",
                    "X-Amz-Target",
                    "x-amz-checksum-sha256",
                    "User-Agent",
                    "Expect",
                    "X-Amzn-Trace-Id",
                    "Connection",
                    "Transfer-Encoding",
                    "Range",
                ]
            ),
            WORDS.map(lambda word: "x-" + word),
        ),
        VALUES,
    ),
    max_size=6,
)
KEYS = st.builds(
    Keys,
    st.text("ABCXYZ0123", min_size=1, max_size=20),
    st.text("abcXYZ019/+=ü", min_size=1, max_size=40),
    st.none() | st.text("abcXYZ019/+=", min_size=1, max_size=300),
)


def agree(signer, reference, *, host, path, query, method, headers, body, keys, tls) -> None:
    """Sign with botocore, then the same, at its instant, with ours, and compare."""
    url = f"{'https' if tls else 'http'}://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, data=body)
    for name, value in headers:
        request.headers[name] = value  # A second value is added to the first.
    reference.add_auth(request)
    date = request.headers["X-Amz-Date"]
    hashed = request.headers.get("X-Amz-Content-SHA256") or sha256(body).hexdigest()
    sent = [pair for pair in request.headers.items() if pair[0] != "Authorization"]
    parts = urlsplit(url)

    ours = signer.authorization(
        method,
        parts.path,
        [("Host", host), *sent],
        hashed,
        keys=keys,
        amz_date=date,
        query=parts.query,
    )

    assert request.headers["Authorization"] == ours
    assert keys.session_token == request.headers.get("X-Amz-Security-Token")


REQUESTS = {
    "host": HOSTS,
    "path": PATHS,
    "query": QUERIES,
    "method": st.sampled_from(["GET", "POST", "PUT"]),
    "headers": HEADERS,
    "body": st.binary(max_size=200),
    "tls": st.booleans(),
}


@given(region=WORDS, service=st.sampled_from(["sqs", "ssm"]), keys=KEYS, **REQUESTS)
def test_json_requests_are_signed_as_botocore_signs_them(region, service, keys, **request) -> None:
    """Paths are tidied and encoded once more, queries sorted, white space folded."""
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    reference = SigV4Auth(credentials, service, region)

    agree(Signer(service, region), reference, keys=keys, **request)


@given(region=WORDS, keys=KEYS, **REQUESTS)
def test_s3_requests_are_signed_as_botocore_signs_them(region, keys, **request) -> None:
    """Paths are signed as they are, and the hash of the body is a header."""
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    reference = S3SigV4Auth(credentials, "s3", region)

    agree(Signer("s3", region), reference, keys=keys, **request)


@given(
    st.lists(
        st.tuples(st.text("ab", min_size=1, max_size=2), st.sampled_from(["20261123", "20261124"])),
        min_size=1,
        max_size=8,
    )
)
def test_a_kept_key_is_never_used_for_another_secret_or_day(turns) -> None:
    """One signer that signs for changing keys and days signs as a new one would."""
    signer = Signer("sqs", "us-east-1")
    for secret, day in turns:
        arguments = ("POST", "/", [("Host", "sqs")], "00")
        keys, date = Keys("id", secret), f"{day}T101112Z"

        expected = Signer("sqs", "us-east-1").authorization(*arguments, keys=keys, amz_date=date)

        assert expected == signer.authorization(*arguments, keys=keys, amz_date=date)


@given(st.text(max_size=40))
def test_keys_of_objects_are_encoded_as_botocore_encodes_them(key) -> None:
    """Unreserved characters and slashes stay; the rest is UTF-8 in hexadecimal."""
    from botocore.utils import percent_encode

    if key.isprintable():  # Surrogates are no text that could be sent.
        assert percent_encode(key, safe="/~") == percent_encoded(key)


def test_instants_are_written_as_aws_reads_them() -> None:
    """Without punctuation, in UTC."""
    assert "20261123T101500Z" == amz_date(1_795_428_900)


def test_a_text_of_keys_shows_no_secret() -> None:
    """Neither the secret nor the session token."""
    text = repr(Keys("AKID", "very-secret", "token-secret"))

    assert "AKID" in text
    assert "secret'" not in text
    assert "token-secret" not in text

"""What is read out of the XML of services, and what is refused."""

from __future__ import annotations

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload
from omsd.drivers.s3.dates import http_date_to_unix_s, iso_to_unix_s
from omsd.drivers.s3.xml import (
    MAX_XML_BYTES,
    ErrorBody,
    complete_body,
    parse_error,
    parse_fields,
    parse_listing,
    parse_parts,
    parse_uploads,
)
from omsd.ports.objectstore import ListedObject, PartReceipt

NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
    "<ETag>&quot;e1&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def page(*keys: str, extra: str = "", truncated: str = "false") -> bytes:
    entries = "".join(ENTRY.format(key=key) for key in keys)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {NS}><Name>b</Name>'
        f"<IsTruncated>{truncated}</IsTruncated>{extra}{entries}</ListBucketResult>"
    ).encode()


def keys_of(body: bytes) -> list[str]:
    return [entry.key for entry in parse_listing(body).objects]


def test_an_entry_is_read_whatever_the_order_and_whitespace() -> None:
    body = f"""
    <ListBucketResult {NS}>
      <Contents>
        <ETag>"e1"</ETag> <Size>7</Size>
        <Owner><ID>1</ID><DisplayName>Key</DisplayName></Owner>
        <LastModified>2009-10-12T17:50:30.5Z</LastModified>
        <Key> a&amp;b &#60;&#x3e;</Key>
      </Contents>
      <IsTruncated>true</IsTruncated><NextMarker>a&amp;b</NextMarker>
      <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>
      <CommonPrefixes><Prefix>q/</Prefix></CommonPrefixes>
    </ListBucketResult>""".encode()
    listing = parse_listing(body)
    assert listing.objects == [ListedObject(" a&b <>", 7, 1255369830.5, "e1", "")]
    assert listing.common_prefixes == ["p/", "q/"]
    assert (listing.truncated, listing.next_marker, listing.next_token) == (True, "a&b", "")


SHAPES = (
    "<Key>{key}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;e1&quot;</ETag><Size>7</Size>"
    "<StorageClass>STANDARD</StorageClass>",
    "<Size>7</Size><Key>{key}</Key>\n <Owner><ID>o</ID><Name>x</Name></Owner><ETag>&#34;e1&#34;</ETag>"
    "<LastModified>2009-10-12T17:50:30.000Z</LastModified><StorageClass>STANDARD</StorageClass>",
    '<Key>{key}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>"e1"</ETag><Size>7</Size>'
    '<Owner a="1"><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass>',
    # What is named twice, or in an element of its own, or not at all, is no column.
    "<Key>{key}</Key><Key>{key}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>e1</ETag>"
    "<Size>7</Size><StorageClass>STANDARD</StorageClass>",
    "<Key>{key}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>e1</ETag><Size>7</Size>"
    "<StorageClass>STANDARD</StorageClass><Restored><Size>7</Size></Restored>",
)


@given(shapes=st.lists(st.sampled_from(SHAPES), max_size=6), url_encoded=st.booleans())
@settings(deadline=None)
def test_entries_of_one_shape_and_of_many_are_read_alike(shapes: list[str], url_encoded: bool) -> None:
    keys = [f"a+b&<{number}" for number in range(len(shapes))]
    extra = "<EncodingType>url</EncodingType>" if url_encoded else ""
    for number, shape in enumerate(shapes):
        key = quote_plus(keys[number]) if url_encoded else escape(keys[number])
        extra += f"<Contents>{shape.format(key=key)}</Contents>\n"
    listing = parse_listing(page(extra=extra))
    assert listing.objects == [ListedObject(key, 7, 1255369830.0, "e1", "STANDARD") for key in keys]


def test_an_entry_without_a_storage_class_has_none() -> None:
    body = page("a", "b").replace(b"<StorageClass>STANDARD</StorageClass>", b"")
    assert [entry.storage_class for entry in parse_listing(body).objects] == ["", ""]


def test_a_page_with_one_bad_entry_among_good_ones_is_malformed() -> None:
    for bad in (b"<Size>x</Size>", b"<Size/>", b"<Size>7<Size>"):
        with pytest.raises(StoreError, match="lacks key, size or time"):
            parse_listing(
                page("a", "b", "c").replace(b"<Size>7</Size>", bad, 2).replace(bad, b"<Size>7</Size>", 1)
            )


def test_a_marker_is_kept_raw_and_decoded() -> None:
    extra = "<EncodingType>url</EncodingType><NextMarker>a%2Fb</NextMarker>"
    listing = parse_listing(page("k", extra=extra))
    assert (listing.next_marker, listing.decoded_next_marker) == ("a%2Fb", "a/b")


def test_an_etag_loses_its_quotes_however_they_are_written() -> None:
    for quoted in ("&quot;e1&quot;", "&#34;e1&#34;", '"e1"', "e1"):
        body = page("k").replace(b"&quot;e1&quot;", quoted.encode())
        assert parse_listing(body).objects[0].etag == "e1"


def test_keys_are_url_decoded_only_if_the_answer_says_so() -> None:
    assert keys_of(page("a+b%2Bc")) == ["a+b%2Bc"]
    assert keys_of(page("a+b%2Bc", extra="<EncodingType>url</EncodingType>")) == ["a b+c"]


@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@settings(max_examples=300, deadline=None)
def test_any_key_is_read_back_from_both_kinds_of_page(key: str) -> None:
    assert keys_of(page(escape(key))) == [key]
    assert keys_of(page(quote_plus(key, safe="/"), extra="<EncodingType>url</EncodingType>")) == [key]


def test_control_characters_are_read_raw_and_as_references() -> None:
    assert keys_of(page("a\x03b", "c&#x3;d", "e&#3;f")) == ["a\x03b", "c\x03d", "e\x03f"]


@pytest.mark.parametrize(
    "body",
    [
        page("a")[:-20],
        page("a")[: page("a").index(b"</Contents>")],
        page("a").replace(b"<IsTruncated>false</IsTruncated>", b""),
        page("a").replace(b"<Size>7</Size>", b""),
        page("a").replace(b"<Size>7</Size>", b"<Size>seven</Size>"),
        page("a").replace(b"2009-10-12T17:50:30.000Z", b"yesterday"),
        page("a&b"),
        page("a&nbsp;b"),
        page("a&#xFFFFFF;b"),
        page("a\xff").replace("a\xff".encode(), b"a\xff"),
        page("%FF", extra="<EncodingType>url</EncodingType>"),
        b"<html><body>Sign in</body></html>",
        b"",
    ],
)
def test_a_page_that_cannot_be_read_whole_is_malformed(body: bytes) -> None:
    with pytest.raises(StoreError) as raised:
        parse_listing(body)
    assert raised.value.kind is StoreErrorKind.MALFORMED


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    f"<ListBucketResult {NS}><IsTruncated>false</IsTruncated><Name>&b;</Name></ListBucketResult>"
)


@pytest.mark.parametrize(
    "body",
    [
        BILLION_LAUGHS.encode(),
        BILLION_LAUGHS.encode("utf-16"),
        BILLION_LAUGHS.replace('"1.0"', '"1.0" encoding="utf-16"').encode(),
        BILLION_LAUGHS.replace("<!DOCTYPE", "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><!DOCTYPE").encode(),
        page(extra="<!-- a comment -->"),
        page(extra="<Name><![CDATA[<!DOCTYPE]]></Name>"),
        # Hidden by an encoding in which other bytes mean `<!DOCTYPE`.
        b'<?xml version="1.0" encoding="cp037"?>'
        + "<!DOCTYPE x [<!ENTITY a 'ha'>]><x>&a;</x>".encode("cp037"),
        b"<" + b"a" * (MAX_XML_BYTES + 1),
        b"<a>" * 200_000,
    ],
)
def test_declarations_and_bombs_are_refused(body: bytes) -> None:
    with pytest.raises(StoreError) as raised:
        parse_listing(body)
    assert raised.value.kind is StoreErrorKind.MALFORMED
    assert parse_error(body) == ErrorBody()


def test_an_error_is_read_with_what_it_tells_about_the_region() -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AuthorizationHeaderMalformed</Code>'
        b"<Message>the region is wrong</Message><Region>eu-west-1</Region><RequestId>R1</RequestId></Error>"
    )
    assert parse_error(body) == ErrorBody(
        "AuthorizationHeaderMalformed", "the region is wrong", "R1", "eu-west-1"
    )
    assert parse_error(b"<html>bad gateway</html>") == ErrorBody()
    assert parse_error(b"") == ErrorBody()


def test_parts_and_uploads_are_read_page_by_page() -> None:
    parts = (
        f"<ListPartsResult {NS}><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
        "<Part><PartNumber>2</PartNumber><ETag>&quot;x&quot;</ETag><Size>5</Size></Part></ListPartsResult>"
    )
    assert parse_parts(parts.encode()) == ([PartReceipt(2, "x", 5)], "2")
    uploads = (
        f"<ListMultipartUploadsResult {NS}><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        "<NextKeyMarker>k+1</NextKeyMarker><NextUploadIdMarker>u+1</NextUploadIdMarker>"
        "<Upload><Key>k+1</Key><UploadId>u+1</UploadId></Upload></ListMultipartUploadsResult>"
    )
    assert parse_uploads(uploads.encode()) == ([OpenUpload("k 1", "u+1")], "k 1", "u+1")


def test_an_answer_with_another_root_is_malformed() -> None:
    with pytest.raises(StoreError, match="instead of"):
        parse_fields(page(), "CompleteMultipartUploadResult")


def test_the_body_of_complete_escapes_etags() -> None:
    body = complete_body([PartReceipt(1, 'a"&<', 5)])
    assert b"<PartNumber>1</PartNumber><ETag>&quot;a&quot;&amp;&lt;&quot;</ETag>" in body


def test_times_are_read_in_both_notations() -> None:
    assert iso_to_unix_s("2009-10-12T17:50:30.250Z") == 1255369830.25
    assert iso_to_unix_s("2009-10-13T01:50:30+08:00") == 1255369830.0
    assert iso_to_unix_s("2009-10-12T17:50:30") == 1255369830.0
    assert http_date_to_unix_s("Mon, 12 Oct 2009 17:50:30 GMT") == 1255369830.0
    for wrong in ("", "Mon, 12 Foo 2009 17:50:30 GMT", "1255369830"):
        with pytest.raises(ValueError, match="not an HTTP date"):
            http_date_to_unix_s(wrong)

import json
import uuid
from xml.etree import ElementTree as ET

from pyannote_voiceprint_async.sandbox.responses import (
    error,
    html_error,
    json_response,
    validation_error,
    xml_error,
)


def test_a_json_response_has_its_content_type_and_its_own_headers():
    response = json_response(201, {"a": 1}, {"X-Test": "1"})
    assert (response.status, json.loads(response.body)) == (201, {"a": 1})
    assert response.headers == {"Content-Type": "application/json; charset=utf-8", "X-Test": "1"}


def test_every_error_has_a_request_id_of_its_own():
    first, second = (json.loads(error(404, "Job not found").body) for _ in range(2))
    assert (first["message"], list(first)) == ("Job not found", ["requestId", "message"])
    assert uuid.UUID(first["requestId"]) != uuid.UUID(second["requestId"])


def test_a_validation_error_lists_the_fields():
    errors = [{"field": "url", "message": "Invalid URL"}]
    response = validation_error(errors)
    assert (response.status, json.loads(response.body)) == (400, {"message": "Invalid request", "errors": errors})


def test_an_xml_error_has_code_and_message():
    response = xml_error(405, "MethodNotAllowed", "Use PUT", {"Allow": "PUT"})
    assert response.headers == {"Content-Type": "application/xml", "Allow": "PUT"}
    root = ET.fromstring(response.body)  # noqa: S314  the XML comes from the sandbox
    assert (root.findtext("Code"), root.findtext("Message")) == ("MethodNotAllowed", "Use PUT")


def test_an_html_error_is_a_page_with_the_status():
    response = html_error(502, "Bad Gateway")
    assert response.headers == {"Content-Type": "text/html; charset=utf-8"}
    assert b"<title>502 Bad Gateway</title>" in response.body

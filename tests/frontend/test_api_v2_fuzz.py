"""API v2, asked what its OpenAPI document allows and much that it does not: no server error, no undocumented answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from demo.postgres import Postgres
from frontend.api_v2.openapi import document
from frontend.app import create_app
from koschei import tokens
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Environment
from koschei.tokens import Scope
from tests.frontend.conftest import SECRET_KEY
from tests.world import NOW

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    positive_data_acceptance,
    negative_data_rejection,
    unsupported_method,
    allow_header_conformance,
]
PLAIN = {"Accept-Encoding": "identity"}
fuzzed = settings(
    max_examples=int(os.environ.get("KOSCHEI_FUZZ_EXAMPLES", "10")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def fuzzed_app(postgres: Postgres, sample_template: str) -> Iterator[tuple[Flask, str]]:
    """An application with believable data that all requests of this module change, and a token for it."""
    name = "fuzzed_api"
    database = Database(postgres.create_database(name, sample_template))
    with database.begin() as session:
        actor = Actor(Environment.FRONTEND, "jane")
        token = tokens.make(session, actor, "fuzz", list(Scope), NOW + timedelta(days=9), now=NOW)
    config = Config.model_validate({"flask": {"SECRET_KEY": SECRET_KEY}, "frontend": {"edits_per_hour": 10**6}})
    yield create_app(config, database, clock=lambda: NOW), token
    database.dispose()
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def api(fuzzed_app: tuple[Flask, str]) -> Any:
    """What the application says of itself."""
    return schemathesis.openapi.from_wsgi("/api/v2/openapi.json", fuzzed_app[0])


OPERATIONS = [(path, method) for path, item in document()["paths"].items() for method in item]
WRITING = [(path, method) for path, method in OPERATIONS if method != "get"]
# What takes nothing cannot be asked anything wrong.
REQUESTS = [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS] + [
    (path, method, GenerationMode.NEGATIVE)
    for path, method in OPERATIONS
    if {"parameters", "requestBody"} & document()["paths"][path][method].keys()
]


def drawn(data: st.DataObject, api: Any, path: str, method: str, mode: GenerationMode) -> Case:
    """A request that the document allows, or (NEGATIVE) one that it does not."""
    case: Case = data.draw(api[path][method].as_strategy(generation_mode=mode))
    if mode is GenerationMode.POSITIVE and case.query:
        case.query.pop("cursor", None)  # they come from answers: the document cannot say what a good one is like
    return case


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method", "mode"), REQUESTS)
def test_it_answers_as_documented(
    api: Any, fuzzed_app: tuple[Flask, str], path: str, method: str, mode: GenerationMode
) -> None:
    headers = {"Authorization": f"Bearer {fuzzed_app[1]}", **PLAIN}

    @fuzzed
    @given(data=st.data())
    def answers(data: st.DataObject) -> None:
        case = drawn(data, api, path, method, mode)
        response = case.call(headers=headers)
        # Too much is refused before it is looked at; to schemathesis that is no refusal.
        too_much = response.status_code == 413
        case.validate_response(response, checks=[c for c in CHECKS if not (too_much and c is negative_data_rejection)])

    answers()


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), WRITING)
def test_nothing_is_written_without_a_token(api: Any, path: str, method: str) -> None:
    @fuzzed
    @given(data=st.data())
    def refuses(data: st.DataObject) -> None:
        case = drawn(data, api, path, method, GenerationMode.POSITIVE)
        response = case.call(headers={"Authorization": "Bearer kos_" + "x" * 43, **PLAIN})
        assert response.status_code == 401
        case.validate_response(response, checks=CHECKS)

    refuses()

"""Huawei's own client, unchanged, through every operation with real buckets; V1 and the token flow as the reference prints them.

The tests of this file share a record of what they saw; the last one compares it with docs/rest-compatibility.md. So they are tests of one
file, though they stand in several: calls_*.py.
"""

from __future__ import annotations

import os
from types import ModuleType

import pytest

from tests.rest.calls_about_buckets import (  # noqa: F401
    test_buckets_are_looked_into,
    test_url_list_files_are_checked,
    test_versions_clouds_and_regions_are_told,
    web,
)
from tests.rest.calls_of_groups import (  # noqa: F401
    test_a_failed_task_group_is_tried_again,
    test_a_synchronization_task_lives,
    test_a_task_group_lives,
)
from tests.rest.calls_of_identity import (  # noqa: F401
    test_a_client_finds_its_project_by_the_region,
    test_the_flow_of_chapter_4_runs_as_printed,
    test_who_calls_is_asked,
)
from tests.rest.calls_of_tasks import (  # noqa: F401
    test_a_task_is_created_followed_and_deleted,
    test_a_task_is_paused_changed_and_started_again,
    test_only_what_failed_is_migrated_again,
    test_wrong_tasks_are_refused_with_the_documented_codes,
)
from tests.rest.calls_of_v1 import (  # noqa: F401
    test_a_string_of_v1_counts_as_one_key,
    test_v1_tasks_live,
    test_wrong_v1_calls_are_refused_with_the_older_codes,
)
from tests.rest.harness import Http, RestDaemon, sdk_client
from tests.rest.record import TABLE, Caller, RawCaller, Record, operations, table


@pytest.fixture(scope="module")
def record() -> Record:
    return Record()


@pytest.fixture
def call(sdk: ModuleType, rest_daemon: RestDaemon, record: Record) -> Caller:
    return Caller(sdk, sdk_client(sdk, rest_daemon.url), record)


@pytest.fixture
def raw(http: Http, record: Record) -> RawCaller:
    return RawCaller(http, record)


def test_the_table_says_what_was_seen(record: Record, pytestconfig: pytest.Config) -> None:
    if not record.done >= set(operations()):
        assert pytestconfig.getoption("keyword") or "::" in " ".join(pytestconfig.args), sorted(
            set(operations()) - record.done
        )
        pytest.skip("only a run of the whole file has seen everything")
    text = table(record)
    if os.environ.get("OMSD_WRITE_REST_TABLE"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text, "run: make rest-table"

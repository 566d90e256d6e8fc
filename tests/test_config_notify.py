"""[notify] and [quotas]: what is taken, and errors that name what is wrong without telling a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.config import ConfigError, Settings, dump_settings, load_settings
from omsd.config.notify import secret_path
from tests.test_config import HOME, load, problems

SMN = """
[[notify.smn]]
region = "eu-de"
project_id = "p1"
access_key = "AK"
secret_file = "{sk}"
topics = ["storage"]
projects = ["mine"]
"""
TOPIC = """
[[notify.topic]]
urn = "urn:smn:local:0:team"
url = "https://hooks.example.com/a?b=c"
secret_file = "{sk}"
"""


@pytest.fixture
def sk(tmp_path: Path) -> Path:
    path = tmp_path / "sk"
    path.write_text("HUSH")
    return path


def test_the_defaults_are_the_documented_quotas_and_no_topic() -> None:
    settings = load_settings(None, HOME)
    quotas = settings.quotas
    assert (quotas.tasks_per_day, quotas.waiting_tasks, quotas.groups_per_day, quotas.sync_tasks) == (
        1500,
        1500,
        100,
        5,
    )
    assert (quotas.v1_tasks_per_day, quotas.v1_waiting_tasks) == (200, 50)
    assert quotas.parallel_tasks == 0
    assert (settings.notify.deadline_s, settings.notify.give_up_after_s) == (15.0, 600.0)
    assert settings.notify.smn == settings.notify.topic == ()


def test_topics_are_read_and_printed_again(tmp_path: Path, sk: Path) -> None:
    text = "[notify]\ngive_up_after_s = 5\n" + SMN.format(sk=sk) + TOPIC.format(sk=sk)
    settings = load(tmp_path, text)
    (smn,), (topic,) = settings.notify.smn, settings.notify.topic
    assert (smn.region, smn.secret_file, smn.topics, smn.projects) == ("eu-de", sk, ("storage",), ("mine",))
    assert smn.service_url == "https://smn.eu-de.myhuaweicloud.com"
    assert (topic.urn, topic.url) == ("urn:smn:local:0:team", "https://hooks.example.com/a?b=c")
    dumped = dump_settings(settings)
    assert "HUSH" not in dumped
    assert load(tmp_path, dumped, {}) == settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("region =", "regoin ="), "[[notify.smn]] number 1: unknown key 'regoin'; did you mean 'region'?"),
        (('region = "eu-de"\n', ""), "[[notify.smn]] number 1: region is missing"),
        (('"eu-de"', '"eu de"'), "region and project_id: must be as in the URN"),
        (('"p1"', '""'), "region and project_id: must be as in the URN"),
        (('access_key = "AK"\n', ""), "access_key and secret_file: are given both or not at all"),
        (('access_key = "AK"\nsecret_file = "{sk}"\n', ""), "one of the two is needed, and not both"),
        (('access_key = "AK"', 'access_key = "AK"\ntoken_file = "{sk}"'), "one of the two is needed"),
        (('secret_file = "{sk}"', 'secret_file = "/no/such"'), "secret_file: the file does not exist"),
        (('region = "eu-de"', 'region = "eu-de"\nurl = "ftp://x"'), "url: must be http(s)://host[:port]"),
        (('region = "eu-de"', 'region = "eu-de"\nurl = "https://h/p"'), "and nothing behind it"),
        (
            ('region = "eu-de"', 'region = "eu-de"\nurl = "https://u:HUSH@h"'),
            "must not hold user and password",
        ),
        (
            (
                'access_key = "AK"\nsecret_file = "{sk}"',
                'url = "http://h"\ntoken_file = "{sk}"',
            ),
            "url: must begin with https:// where a token is sent",
        ),
        (('topics = ["storage"]', 'topics = "storage"'), "[[notify.smn]] number 1: topics"),
    ],
)
def test_a_wrong_smn_is_named(tmp_path: Path, sk: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in SMN
    found = problems(tmp_path, SMN.replace(*change).format(sk=sk))
    assert said in found
    assert "HUSH" not in found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("urn:smn:local:0:team", "team"), "[[notify.topic]] number 1: urn: must be a topic as urn:smn:"),
        (("https://hooks.example.com/a?b=c", "hooks"), "url: must be http(s)://host[:port]/path"),
        (('secret_file = "{sk}"\n', ""), "secret_file is missing"),
        (("https://hooks.example.com/a?b=c", "https://h:99999/"), "url: Port out of range"),
    ],
)
def test_a_wrong_webhook_is_named(tmp_path: Path, sk: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in TOPIC
    assert said in problems(tmp_path, TOPIC.replace(*change).format(sk=sk))


def test_what_is_configured_twice_is_named(tmp_path: Path, sk: Path) -> None:
    twice = (SMN * 2 + TOPIC * 2).format(sk=sk)
    found = problems(tmp_path, twice)
    assert "[[notify.smn]] number 2: 'eu-de' is configured twice" in found
    assert "[[notify.topic]] number 2: 'urn:smn:local:0:team' is configured twice" in found


def test_topics_must_be_arrays_in_the_file(tmp_path: Path) -> None:
    assert "smn must be written [[notify.smn]]" in problems(tmp_path, "[notify.smn]\nregion = 'r'")
    environ = {**HOME, "OMSD_NOTIFY__TOPIC": "x"}
    assert "can only be given in the file" in problems(tmp_path, "", environ)


def test_a_relative_secret_is_below_the_credentials_directory(tmp_path: Path, sk: Path) -> None:
    text = TOPIC.format(sk="sk")
    environ = {**HOME, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(tmp_path, text, environ).notify.topic[0].secret_file == Path("sk")
    assert secret_path(Path("sk"), environ) == sk
    assert "does not exist" in problems(tmp_path, TOPIC.format(sk="other"), environ)
    # check-config of an operator has no such directory: the daemon insists on it.
    load(tmp_path, text, HOME)
    with pytest.raises(ValueError, match="CREDENTIALS_DIRECTORY, which is not set"):
        secret_path(Path("sk"), HOME)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[quotas]\ntasks_per_day = 0", "[quotas] tasks_per_day"),
        ("[quotas]\nwaiting_tasks = 'many'", "[quotas] waiting_tasks"),
        ("[quotas]\nv1_tasks_per_day = 0", "[quotas] v1_tasks_per_day"),
        ("[quotas]\nparallel_tasks = -1", "[quotas] parallel_tasks"),
        ("[quotas]\ngroups = 1", "[quotas] groups: unknown key 'groups'"),
        ("[notify]\ndeadline_s = 0", "[notify] deadline_s"),
        ("[sync]\nmax_tasks = 0", "[sync] max_tasks = 0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text)


def test_the_old_key_of_synchronization_tasks_still_works(tmp_path: Path) -> None:
    assert load(tmp_path, "[sync]\nmax_tasks = 7").quotas.sync_tasks == 7
    environ = {**HOME, "OMSD_SYNC__MAX_TASKS": "8"}
    assert load(tmp_path, "[quotas]\nsync_tasks = 3", environ).quotas.sync_tasks == 8
    found = problems(tmp_path, "[sync]\nmax_tasks = 7\n[quotas]\nsync_tasks = 7")
    assert "keep [quotas] sync_tasks alone" in found


def test_a_daemon_whose_secret_cannot_be_used_does_not_start(tmp_path: Path, sk: Path) -> None:
    import asyncio

    from omsd.clock import SystemClock
    from omsd.daemon.notices import Notices

    settings = load(tmp_path, SMN.format(sk=sk) + TOPIC.format(sk=sk))
    sk.chmod(0o600)

    async def check(settings: Settings) -> None:
        store: object = None
        await Notices(settings, store, SystemClock(), asyncio.Event(), HOME).check()  # type: ignore[arg-type]

    with pytest.raises(ConfigError) as caught:
        asyncio.run(check(settings))
    (problem,) = caught.value.problems
    assert problem.startswith("[[notify.topic]] urn:smn:local:0:team: the secret in")
    assert "HUSH" not in problem
    with pytest.raises(ConfigError, match="is not set"):
        asyncio.run(check(load(tmp_path, TOPIC.format(sk="sk"))))

"""Which Pendo and which keys: where they are read, what is refused, and that no key shows."""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.env import find_env_file
from pendosync.errors import SettingsError
from pendosync.keys import Secret
from pendosync.regions import API_PACE, DATA_PACE, MASK, MOST_AT_ONCE, REGIONS, Pace, Target, hosts_of
from pendosync.settings import Settings

KEYS = {"integration_key": "k3y-one", "app_key": "k3y-two", "track_secret": "k3y-three"}
ENV = {"PENDO_INTEGRATION_KEY": "k3y-one", "PENDO_APP_KEY": "k3y-two", "PENDO_TRACK_SECRET": "k3y-three"}

pytestmark = [
    pytest.mark.keys(*KEYS.values()),
    pytest.mark.holds_key(".env", reason="the file that keys are read from"),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with nothing of Pendo's in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PENDO_")]:
        monkeypatch.delenv(name)


def write_env(folder: Path, **lines: str) -> Path:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    return path


# --- secrets


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4))
def test_a_secret_shows_itself_nowhere(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    assert f"{secret} {secret!r} {[secret]} {secret!s:>5}" == "*** Secret(***) [Secret(***)]   ***"
    assert "%s %r" % (secret, secret) == "*** Secret(***)"  # noqa: UP031


def test_a_secret_stays_in_its_process() -> None:
    settings = Settings(**KEYS)
    for one in (Secret("abc"), settings):
        with pytest.raises(SettingsError, match=r"pickled.*Hint: call Settings\.from_env"):
            pickle.dumps(one)
        assert copy.deepcopy(one) == one == copy.copy(one)
    assert Secret("abc") == Secret("abc") != Secret("abd")
    assert Secret("abc") != "abc"
    assert hash(Secret("abc")) == hash(Secret("abc"))


def test_settings_show_which_keys_are_set_and_none_of_them() -> None:
    settings = Settings(region="eu", integration_key="k3y-one", app_key="k3y-two")
    assert repr(settings) == (
        "Settings(region='eu', integration_key=***, app_key=***, api_url='https://app.eu.pendo.io')"
    )
    assert "k3y" not in f"{settings} {vars(settings)} {settings.target!r} {settings.target}"


@pytest.mark.parametrize("name", KEYS)
def test_a_missing_secret_says_where_it_is_found(name: str) -> None:
    assert Settings(**KEYS).secret(name).reveal() == KEYS[name]
    with pytest.raises(SettingsError) as caught:
        Settings().secret(name)
    assert f"Hint: put PENDO_{name.upper()}=… into .env, or Settings({name}=…)." in str(caught.value)
    assert "In Pendo it is found under Settings >" in str(caught.value)


@pytest.mark.parametrize("text", ["", "   ", "two words", "tab\tbed", "schlüssel", "line\nbreak", "\x7f"])
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    for name in KEYS:
        with pytest.raises(SettingsError, match="is no key") as caught:
            Settings(**{name: text})
        assert not text.strip() or text not in str(caught.value)


def test_blanks_around_a_key_are_dropped() -> None:
    assert Settings(app_key=" abc\n").secret("app_key").reveal() == "abc"
    assert Settings(app_key=Secret("abc")) == Settings(app_key="abc")


# --- places


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_has_its_hosts(region: str) -> None:
    target = Settings(region=region).target
    assert (target.api_url, target.data_url) == (
        f"https://{REGIONS[region].api}",
        f"https://{REGIONS[region].data}",
    )
    assert str(target) == f"{region} ({REGIONS[region].api})"
    assert hosts_of(region) is REGIONS[region]


@pytest.mark.parametrize("region", ["EU", "jp", "", "moon"])
def test_an_unknown_region_is_told_with_those_that_exist(region: str) -> None:
    with pytest.raises(SettingsError, match=r"'us', 'us1', 'eu', 'jpn', 'au'.*Hint: Settings\(region="):
        Settings(region=region)


def test_targets_are_the_same_place_whatever_their_pace() -> None:
    slow = replace(Settings(), api_pace=Pace(1, 1))
    assert slow.target == Settings().target
    assert slow.target.api_pace == Pace(1, 1)
    assert Settings(region="eu").target != Settings().target
    assert isinstance(slow.target, Target)


@pytest.mark.parametrize(
    "url", ["https://pendo.corp", "https://pendo.corp:8443/base/", "http://127.0.0.1:80/us", "http://localhost", "http://[::1]:1"]
)  # fmt: skip
def test_an_address_of_your_own_is_taken(url: str) -> None:
    settings = Settings(api_url=url, data_url=url)
    assert settings.api_url == settings.data_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://pendo.corp", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "ftp://127.0.0.1", "pendo.corp",
        "https://user:pw@pendo.corp", "https://", "https://[", "https://pendo.corp:port", "http://0.0.0.0",
    ],
)  # fmt: skip
def test_no_key_goes_to_an_open_or_broken_address(url: str) -> None:
    for name in ("api_url", "data_url"):
        with pytest.raises(SettingsError, match=rf"{name} is no address.*Hint:") as caught:
            Settings(**{name: url})
        assert "pw" not in str(caught.value)


def test_a_browser_loads_the_agent_from_the_regions_cdn_or_a_host_of_your_own() -> None:
    assert Settings().agent_url == "https://cdn.pendo.io"
    assert Settings("eu").agent_base == "https://cdn.eu.pendo.io"
    assert Settings(agent_url="content.example.com").agent_url == "https://content.example.com"
    assert Settings(agent_url="http://127.0.0.1:80/us/").agent_url == "http://127.0.0.1:80/us"
    assert Settings("au", agent_url="content.example.com").agent_base == "https://content.example.com"


def test_a_region_without_a_known_cdn_says_so_when_it_is_asked_for() -> None:
    settings = Settings("au")
    assert settings.agent_url is None
    assert "no known host in this region" in settings._repr_html_()
    with pytest.raises(SettingsError, match=r"No host is known .*'au'.* Expected .*Hint: .*agent_url="):
        settings.agent_base  # noqa: B018


@pytest.mark.parametrize(
    "url", ["http://content.example.com", "ftp://content.example.com", "user:pw@content.example.com", "a b", "javascript:alert(1)", "//x"]
)  # fmt: skip
def test_no_agent_is_loaded_from_an_open_or_broken_address(url: str) -> None:
    with pytest.raises(SettingsError, match=r"agent_url is no address.*Hint:"):
        Settings(agent_url=url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("user_traits_on_load", "false"), ("group_on_load", None), ("group_on_load", 1), ("account_trait", " "), ("account_trait", 7)],
)  # fmt: skip
def test_what_a_browser_tells_on_load_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is .*Expected .*Hint:"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_per_second": 0},
        {"max_per_second": float("nan")},
        {"max_at_once": 0},
        {"max_at_once": 1.5},
        {"max_rows_per_second": 0},
        {"max_rows_per_second": -1},
        {"max_rows_per_second": float("nan")},
        {"max_rows_per_second": "many"},
    ],
)
def test_a_pace_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="Expected"):
        Pace(**{"max_per_second": 5, "max_at_once": 2, **wrong})


def test_a_pace_tells_the_time_it_takes() -> None:
    assert Pace(5, 2).expected_s(100) == 20
    assert Pace(None, 2).expected_s(100) is None
    assert Pace(None, None, 500).expected_s(100) is None, "no rows, no limit on them"


@pytest.mark.parametrize(
    ("pace", "batch", "seconds"),
    [
        (Pace(5, 2, 1000), 500, 50),
        (Pace(1, 2, 1000), 500, 100),
        (Pace(None, None, 1000), 600, 100),
        (Pace(None, None, 1000), 250, 25),
        (Pace(None, None, 1000), 1500, 150),
    ],
)
def test_a_pace_tells_the_time_that_rows_take(pace: Pace, batch: int, seconds: float) -> None:
    assert pace.expected_s(100, rows=100 * batch) == seconds


def test_a_pace_without_a_limit_still_has_an_end() -> None:
    assert (Pace(5, 2).at_once, Pace(None, None).at_once) == (2, MOST_AT_ONCE)


# --- the environment


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(tmp_path, PENDO_REGION="eu", PENDO_APP_KEY="from-file", PENDO_INTEGRATION_KEY="from-file")
    monkeypatch.setenv("PENDO_APP_KEY", "from-environment")
    settings = Settings.from_env()
    assert settings.region == "eu"
    assert settings.secret("app_key").reveal() == "from-environment"
    assert settings.secret("integration_key").reveal() == "from-file"
    assert settings.track_secret is None
    assert "PENDO_REGION" not in os.environ


def test_nothing_set_is_no_error_and_the_careful_pace() -> None:
    assert Settings.from_env() == Settings()
    assert (Settings().api_pace, Settings().data_pace) == (API_PACE, DATA_PACE)


def test_all_names_are_read(tmp_path: Path) -> None:
    path = write_env(
        tmp_path, **ENV, PENDO_REGION="jpn", PENDO_API_URL="http://localhost:1/a", PENDO_DATA_URL="http://localhost:1/d",
        PENDO_API_MAX_PER_SECOND="2.5", PENDO_API_MAX_AT_ONCE="3", PENDO_DATA_MAX_PER_SECOND="20",
        PENDO_API_MAX_ROWS_PER_SECOND="2500", PENDO_AGENT_URL="content.example.com",
        PENDO_USER_TRAITS_ON_LOAD=" False", PENDO_GROUP_ON_LOAD="false", PENDO_ACCOUNT_TRAIT="company",
    )  # fmt: skip
    assert Settings.from_env(path) == Settings(
        region="jpn", **KEYS, api_url="http://localhost:1/a", data_url="http://localhost:1/d",
        api_pace=Pace(2.5, 3, 2500), data_pace=Pace(20, DATA_PACE.max_at_once),
        agent_url="https://content.example.com", user_traits_on_load=False, group_on_load=False, account_trait="company",
    )  # fmt: skip


def test_none_is_no_limit(tmp_path: Path) -> None:
    names = [f"PENDO_{host}_MAX_{what}" for host in ("API", "DATA") for what in ("PER_SECOND", "AT_ONCE")]
    path = write_env(tmp_path, **dict.fromkeys(names, "none"), PENDO_DATA_MAX_ROWS_PER_SECOND=" None ")
    settings = Settings.from_env(path)
    assert (settings.api_pace, settings.data_pace) == (Pace(None, None), Pace(None, None))


def test_empty_lines_set_nothing(tmp_path: Path) -> None:
    path = write_env(tmp_path, **dict.fromkeys([*ENV, "PENDO_REGION", "PENDO_API_MAX_PER_SECOND"], ""))
    assert Settings.from_env(path) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENDO_REGION", "EU"), ("PENDO_API_MAX_PER_SECOND", "fast"), ("PENDO_API_MAX_AT_ONCE", "1.5"),
        ("PENDO_DATA_MAX_PER_SECOND", "-1"), ("PENDO_API_MAX_ROWS_PER_SECOND", "0"), ("PENDO_DATA_MAX_ROWS_PER_SECOND", "no"),
        ("PENDO_DATA_MAX_AT_ONCE", "0"), ("PENDO_API_URL", "http://x"),
        ("PENDO_APP_KEY", '"two words"'), ("PENDO_AGENT_URL", "http://x"), ("PENDO_GROUP_ON_LOAD", "no"),
        ("PENDO_USER_TRAITS_ON_LOAD", "0"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_told(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="Hint:"):
        Settings.from_env(write_env(tmp_path, **{name: value}))


def test_the_file_is_searched_upward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(tmp_path, PENDO_REGION="au")
    inner = tmp_path / "notebooks" / "deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert find_env_file() == tmp_path.resolve() / ".env"
    assert Settings.from_env().region == "au"
    write_env(inner.parent, PENDO_REGION="us1")
    assert Settings.from_env().region == "us1"
    assert find_env_file(tmp_path) == tmp_path.resolve() / ".env"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no file .*Hint: copy \.env\.example"):
        Settings.from_env(tmp_path / "nowhere.env")


def test_the_mask_is_no_secret() -> None:
    assert str(Secret("abc")) == MASK


def test_access_is_read_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "mine.env"
    file.write_text("PENDO_ACCESS=write\n")
    assert Settings.from_env(file).access == "write"
    file.write_text("PENDO_ACCESS=all\n")
    with pytest.raises(SettingsError, match="'read' or 'write'"):
        Settings.from_env(file)


# --- as a notebook shows them


def test_settings_show_which_keys_are_set_and_never_one_of_their_characters() -> None:
    html = Settings("eu", integration_key=KEYS["integration_key"], access="write")._repr_html_()
    assert not any(key in html for key in KEYS.values())
    assert all(text in html for text in ("region eu", "https://app.eu.pendo.io", "https://data.eu.pendo.io"))
    assert html.count(MASK) == 1
    assert html.count("not set") == 2
    assert "these settings may push" in html
    assert "https://cdn.eu.pendo.io" in html


def test_settings_show_what_a_browser_tells_on_load() -> None:
    assert "visitor with traits, account<" in Settings()._repr_html_()
    late = Settings(user_traits_on_load=False, group_on_load=False, account_trait="company")._repr_html_()
    assert (
        "visitor&#x27;s id, traits after it, account after it, account&#x27;s id from trait &#x27;company&#x27;"
        in late
    )


def test_settings_show_what_a_missing_key_is_for_and_where_it_is_found() -> None:
    html = Settings()._repr_html_()
    for words in (
        "reading and writing metadata",
        "Segment&#x27;s webhook",
        "track events",
        *ENV,
        "Integration keys",
    ):
        assert words in html, words
    assert "PENDO_ACCESS=write" in html
    assert "5 requests a second, 2 in flight" in html


def test_a_pace_says_itself_in_words() -> None:
    assert (
        str(Pace(2.5, None, 1000)) == f"2.5 requests a second, 1000 rows a second, {MOST_AT_ONCE} in flight"
    )
    assert str(Pace(None, 3)) == "as fast as it answers, 3 in flight"

"""A secret in any place where one may stand does not come out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.support.masking import Masker

#: Places of a haproxy.cfg, nginx.d, lb.yaml, an environment, a command line; the secret is {}.
PLACES = [
    "stats auth admin:{}",
    "userlist u\n    user joe password {}\n    user ann insecure-password {}",
    "http-request set-header Authorization {}",
    'http-request set-header Authorization "Basic {}"',
    "http-request set-header Authorization Bearer\\ {}",
    "http-request add-header X-Api-Key {}",
    "http-request set-header Cookie session={}",
    "option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ Basic\\ {}",
    "http-check send meth GET uri / hdr X-Token {}",
    "tcp-check send AUTH\\ {}\\r\\n",
    "acl ok req.hdr(X-Api-Key) -m str first {} third",
    "http-request deny unless {{ req.hdr(Authorization) -m str {} }}",
    "acl ok http_auth_bearer -m str {}",
    "http-request deny unless {{ http_auth_bearer,jwt_verify(txn.alg,{}) -m int 1 }}",
    "http-request set-var(txn.token) str({})",
    "setenv ANYTHING {}",
    "dynamic-cookie-key {}",
    "cluster-secret {}",
    "server s http://user:{}@10.0.0.1",
    "proxy_set_header Authorization {};",
    'proxy_set_header X-Auth-Token "{}";',
    "fastcgi_param DB_PASSWORD {};",
    "set $api_token {};",
    "if ($http_x_api_key != '{}') {{ return 403; }}",
    "if ($arg_token = {}) {{ return 200; }}",
    "map $http_x_api_key $ok {{\n  default 0;\n  {} 1;\n  '{}' 1;\n}}",
    "secure_link_md5 '$uri {}';",
    "joe:$apr1${}",
    "PASSWORD={}",
    "export DB_PASSWORD='{}'",
    "password: {}",
    '"password": "{}"',
    "api_key = {}",
    "LBCTL_TOKEN={}",
    "command: [/usr/bin/check, --password, {}]",
    "command:\n  - /usr/bin/check\n  - --token\n  - {}",
    "curl -u joe:{} http://a/",
    "curl --user=joe:{} http://a/",
    "track:\n  - name: web\n    headers: {{Host: a, X-Odd: {}}}",
    "track:\n  - name: web\n    headers:\n      Host: a\n      X-Odd: {}\n    rise: 2",
    "https://hooks.example.com/services/T00/{}",
    "https://a/b?token={}&x=1",
    "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}\n",
]
SECRETS = st.text("abcXYZ0189_+/=.~@%!", min_size=1, max_size=30).map(lambda text: f"mArk3r{text}")


@pytest.mark.parametrize("place", PLACES)
@given(secret=SECRETS)
def test_a_secret_in_its_place_is_hidden(place: str, secret: str) -> None:
    assert "mArk3r" not in Masker().text(place.format(*[secret] * 2))


@pytest.mark.parametrize(
    "place",
    [
        "stats auth admin:{}",
        "    user joe password {}",
        "http-request set-header Authorization Bearer\\ {}",
        "http-request add-header X-Api-Key '{}'",
        "proxy_set_header X-Auth-Token {};",
        "PASSWORD={}",
        "api_key: {}",
        "command: [/usr/bin/check, --password, {}]",
    ],
)
def test_what_was_found_in_one_text_is_hidden_in_another(place: str) -> None:
    masker = Masker()
    masker.learn(place.format("mArk3rabc9"))

    assert masker.text("the check said mArk3rabc9, no more") == "the check said ***, no more"


def test_a_short_word_that_was_found_is_not_hidden_elsewhere() -> None:
    masker = Masker()
    masker.learn("stats auth admin:admin")

    assert masker.text("asked for by admin") == "asked for by admin"


@pytest.mark.parametrize(
    "value",
    [
        {"password": "mArk3r"},
        {"a": [{"stats_password": "mArk3r"}]},
        {"headers": [["X-Odd", "mArk3r"], ["Host", "a"]]},
        {"headers": {"X-Odd": "mArk3r"}},
        {"headers": "mArk3r"},
        {"argv": ["/bin/check", "--password", "mArk3r"]},
        {"argv": ["/bin/check", "--password=mArk3r"]},
        {"target": "http://joe:mArk3r@10.0.0.1/"},
        {"text": "stats auth joe:mArk3r"},
    ],
)
def test_json_is_masked_by_its_names(value: object) -> None:
    said = Masker().json(json.dumps(value))

    assert "mArk3r" not in said
    assert json.loads(said)


@given(secret=st.text(min_size=1, max_size=19).filter(lambda text: text.strip() == text))
def test_a_known_secret_is_hidden_as_it_is_and_as_json(secret: str) -> None:
    masker = Masker([secret])
    told = f"before {secret} after"

    assert f" {secret} " not in masker.text(told)
    assert json.loads(masker.json(json.dumps({"text": told})))["text"] != told


def test_a_short_password_is_hidden_as_a_word_and_leaves_others_readable() -> None:
    assert Masker(["lb"]).text("password lb of lbctl") == "password *** of lbctl"


@pytest.mark.parametrize(
    "text",
    [
        "haproxy: {stats: {password_file: /etc/lbctl/stats}}",
        "LBCTL_PASSWORD_FILE=/etc/lbctl/password",
        "    balance roundrobin",
        "    server web1 10.0.1.21:80 check weight 10",
        "proxy_set_header Host $host;",
        "ssl_certificate_key /haproxy/certs/a.pem;",
        "10.0.1.201/32 dev eth0 lladdr 02:00:0a:00:01:0b REACHABLE",
        "role BACKUP -> MASTER: 10.0.1.12 resigned",
        '{"pid": 7, "state": "RUNNING"}',
    ],
)
def test_what_is_no_secret_can_be_read(text: str) -> None:
    assert Masker().text(text) == text

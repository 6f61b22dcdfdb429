"""No child process is given what is nobody's business but this one's."""

from models.domain.secrets import NAMES, without_secrets


def test_tokens_stay_and_all_else_goes_along():
    env = {"PATH": "/bin", "HF_ENDPOINT": "https://hub", **dict.fromkeys(NAMES, "secret")}
    assert without_secrets(env) == {"PATH": "/bin", "HF_ENDPOINT": "https://hub"}
    assert "HF_TOKEN" in NAMES

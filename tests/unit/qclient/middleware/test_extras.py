"""Middleware that needs a library says which extra brings it."""

import importlib
import subprocess
import sys

import pytest

EXTRAS = [
    ("prometheus", "prometheus_client"),
    ("statsd", "statsd"),
    ("tracing", "opentelemetry"),
]


@pytest.mark.parametrize(("name", "library"), EXTRAS)
def test_a_missing_library_is_said_with_its_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"qclient.middleware.{name}", raising=False)
    for loaded in [each for each in sys.modules if each.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(f"qclient.middleware.{name}")
    assert f"pip install 'qserver[{name}]'" in str(caught.value)
    assert caught.value.name == library


def test_a_worker_with_what_is_there_by_default_imports_none_of_them() -> None:
    libraries = [library for _, library in EXTRAS]
    program = (
        "import sys, qclient.worker, qclient.middleware as m; m.standard();"
        f"print([each for each in {libraries} if each in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"

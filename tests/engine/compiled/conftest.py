"""These tests need a C compiler, as the compiled code itself does."""

import shutil

import pytest


@pytest.fixture(autouse=True, scope="session")
def _compiler() -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")

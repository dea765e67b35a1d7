"""Fixtures of this layer's tests."""

from pathlib import Path

import pytest
from tests.crypto.openssl import OpenSSL


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path)

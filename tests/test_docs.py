"""What the documents say exists."""

from __future__ import annotations

import re
from pathlib import Path

from omsd.cli.session import Exit
from omsd.config import EndpointSettings
from omsd.config.settings import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_every_configuration_key_is_in_the_readme() -> None:
    assert all(f"[{name}]" in README for name in SECTIONS)
    keys = {key for kind in (*SECTIONS.values(), EndpointSettings) for key in kind.__struct_fields__}
    assert [key for key in sorted(keys) if f"{key}`" not in README and f" {key}" not in README] == []


def test_every_exit_code_of_omsctl_is_in_the_readme() -> None:
    rows = set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE))
    assert rows == {str(int(code)) for code in Exit}


def test_links_of_the_documents_lead_somewhere() -> None:
    broken = [
        f"{path.name}: {link}"
        for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text())
        if not (path.parent / link).exists()
    ]
    assert broken == []


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|    )make ([a-z]+)", README)) <= targets

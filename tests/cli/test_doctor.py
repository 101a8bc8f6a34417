"""``homeostat doctor`` and its quick exactness check."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from homeostat.agent.models.pictures import TORCHVISION
from homeostat.cli import doctor as cli_doctor
from homeostat.cli.doctor import Finding, examine, probe_error
from homeostat.cli.root import app
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.probe.probe import Probe


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {f.name: f for f in examine()}


def test_every_part_is_looked_at_and_what_is_missing_has_a_fix(findings: dict[str, Finding]) -> None:
    assert list(findings) == [
        "python",
        "torch",
        "transformers",
        "torchvision",
        "commands",
        "terminal",
        "adb",
        "adbutils",
        "chromium",
        "phone",
        "nano",
        "probe",
    ]
    assert all(f.ok or f.fix for f in findings.values())
    for name in ("python", "torch", "transformers", "commands", "phone", "probe"):
        assert findings[name].ok, findings[name]


def test_lines_and_status_follow_the_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Finding("torch", True, "2.13")
    bad = Finding("nano", False, "gone", "homeostat clone")
    absent = Finding("adb", False, "not found", "apt install adb", optional=True)
    for found, status in (([good, absent], 0), ([good, bad], 1)):
        monkeypatch.setattr(cli_doctor, "examine", lambda found=found: iter(found))
        result = CliRunner().invoke(app, ["doctor"])
        assert result.exit_code == status
        assert "ok       torch" in result.output
        assert len(result.output.splitlines()) == 2
        assert "fix: " in result.output


def test_torchvision_is_looked_for_because_qwen_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(version: str | None, broken: Exception | None = None) -> Finding:
        def installed(name: str) -> str:
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        def imported(name: str) -> None:
            if broken is not None:
                raise broken

        with monkeypatch.context() as patch:
            patch.setattr(importlib.metadata, "version", installed)
            patch.setattr(importlib, "import_module", imported)
            return cli_doctor._torchvision()

    absent, there = found(None), found("0.28.0")
    misfit = found("0.28.0", RuntimeError("operator torchvision::nms does not exist"))
    assert absent.fix == misfit.fix == TORCHVISION
    assert "homeostat[vision]" in TORCHVISION
    assert (absent.ok, absent.optional) == (False, True)
    assert "Qwen-VL" in absent.found
    assert (there.ok, there.found) == (True, "0.28.0: Qwen-VL can be loaded")
    assert (misfit.ok, misfit.optional) == (False, False)  # then no model loads at all
    assert "operator torchvision::nms does not exist" in misfit.found


def test_a_check_that_raises_is_a_line_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("driver\nmismatch")

    monkeypatch.setattr(cli_doctor, "_torch", broken)
    found = {f.name: f for f in examine()}
    assert not found["torch"].ok
    assert found["torch"].found == "RuntimeError: driver"


def test_the_exactness_check_sees_a_wrong_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    _, model, inputs, spans, length = cli_doctor._random_case()
    model.eval()
    before = model.config._attn_implementation
    assert probe_error(model, inputs, spans, length) < 1e-5
    assert model.config._attn_implementation == before
    real = Probe.result
    monkeypatch.setattr(Probe, "result", lambda probe: _raised(real(probe)))
    assert probe_error(model, inputs, spans, length) == pytest.approx(1e-3, rel=0.01)


def _raised(mass: SpanMass) -> SpanMass:
    return replace(mass, prompt_mass=mass.prompt_mass + np.float32(1e-3))

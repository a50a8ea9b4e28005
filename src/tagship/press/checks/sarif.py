"""The findings as SARIF 2.1.0, which code hosts show beside the lines of a change (OASIS, 2020)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from typing import Any
from urllib.parse import quote

from tagship.press.checks.codes import CODES
from tagship.press.checks.findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HELP = "docs/checks.md"


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """One run as a SARIF log; every kind of finding is a rule, whether it was found or not."""
    rules = sorted(CODES)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tagship",
                        "version": metadata.version("tagship"),
                        "rules": [_rule(code) for code in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"PROJECT": {"description": {"text": "The folder that holds tagship.yml."}}},
                "results": [_result(finding, rules.index(finding.code)) for finding in findings],
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    about = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": f"{about.about[:1].upper()}{about.about[1:]}."},
        "help": {"text": f"{_HELP} tells of every kind of finding."},
        "defaultConfiguration": {"level": about.severity},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    cure = f"\nCure: {finding.cure}" if finding.cure else ""
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{finding.message}{cure}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.path), "uriBaseId": "PROJECT"},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
        "partialFingerprints": {"tagship/v1": _fingerprint(finding)},
    }


def _fingerprint(finding: Finding) -> str:
    """The same for the same finding on another line: lines move with every edit."""
    return hashlib.sha256("\0".join((finding.path, finding.code, finding.message)).encode()).hexdigest()[:32]

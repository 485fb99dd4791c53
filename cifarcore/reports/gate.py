"""The outcome of a gate as JSON records and as JUnit XML, which continuous integration shows beside other tests."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from cifarcore.evidence.gate import Outcome


def records(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One dictionary each: requirement, met, difference, low, high, unit ("points" or ""), why, and p of the test that
    decides where the bound is zero; null where unknown.
    """
    return [
        {"requirement": one.requirement.text, "met": one.met, "difference": _known(one.difference),
         "low": _known(one.low), "high": _known(one.high), "unit": one.unit.strip(), "why": one.why,
         "p": _known(one.p)}
        for one in outcomes
    ]  # fmt: skip


def junit(outcomes: Sequence[Outcome], names: tuple[str, str], notes: Sequence[str] = ()) -> bytes:
    """A test suite of one case for each requirement, a failure where it is not met, and `notes` beside them; UTF-8."""
    failed = sum(not one.met for one in outcomes)
    suite = ElementTree.Element(
        "testsuite", name="cifarcore", tests=str(len(outcomes)), failures=str(failed), errors="0", skipped="0"
    )
    for one in outcomes:
        name, against = _printable(one.requirement.text), _printable(f"{names[1]} against {names[0]}")
        case = ElementTree.SubElement(suite, "testcase", classname=against, name=name)
        part = "system-out" if one.met else "failure"
        element = ElementTree.SubElement(case, part)
        element.text = _printable(one.line)
        if not one.met:
            element.set("message", element.text)
    if notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(_printable, notes))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _printable(text: str) -> str:
    """Control characters have no place in XML."""
    return "".join(c for c in text if c.isprintable())

"""`releases doctor`: is the stack as described, and does every edge deliver?"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from itertools import chain
from typing import Annotated, Any, Final

import typer

from contracts import topology
from ops.cli import render
from ops.cli.session import Exit, Form, InForm, Timeout, answer, console, not_both
from ops.doctor import documents, examination, proof, site
from ops.doctor.findings import Finding, is_healthy
from ops.target import INFRA, TOPOLOGY, Stack

_NOT_BOTH: Final = not_both("--prove", "--canary")


async def doctor(
    stack: Stack,
    *,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove",
            help="Also send a canary through every edge, and one into its dead letters.",
            callback=_NOT_BOTH,
        ),
    ] = False,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary", help="Send a canary through every edge and look at nothing else.", callback=_NOT_BOTH
        ),
    ] = False,
    problems: Annotated[bool, typer.Option("--problems", help="Show only what somebody has to look at.")] = False,
    timeout_seconds: Timeout = 120,
    form: InForm = Form.TABLE,
) -> int:
    """Compare the stack with its description and say what to fix. Changes nothing, apart from the canaries."""
    findings: list[Finding] = []
    told: list[dict[str, Any]] = []
    patience = proof.Patience(timedelta(seconds=timeout_seconds))
    read = [] if canary else await _documents(stack)
    for finding in chain(read, _findings(stack, patience, prove=prove, canary=canary)):
        findings.append(finding)
        if problems and finding.is_well:
            continue
        told.append(asdict(finding))
        if not form.is_data:
            console.print(render.finding_line(finding))
    healthy = is_healthy(findings)
    answer(form, {"healthy": healthy, "findings": told}, render.findings_summary(findings))
    return Exit.DONE if healthy else Exit.FAILED


async def _documents(stack: Stack) -> list[Finding]:
    target = stack.target
    return await documents.look(stack.store, bucket=target.bucket, now=stack.clock(), raw_days=target.raw_days)


def _findings(stack: Stack, patience: proof.Patience, *, prove: bool, canary: bool) -> Iterator[Finding]:
    with site.opened(stack.target, topology.read(TOPOLOGY), INFRA) as opened:
        if not canary:
            yield from examination.examine(opened, stack.clock())
        if prove or canary:
            yield from proof.quick(opened, secrets.token_hex(8), patience)
        if prove:
            yield from proof.dead_letters(opened, secrets.token_hex(8), patience)

"""`releases doctor`: is the stack as it is described, and does every edge carry?"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from enum import Enum, auto
from itertools import chain
from typing import Annotated

import typer

from contracts import topology
from ops.cli import render
from ops.cli.session import Exit, Form, InForm, Timeout, act, console, say
from ops.doctor import documents, examination, proof, site
from ops.doctor.findings import Finding, is_healthy
from ops.target import INFRA, TOPOLOGY, Stack


class Sought(Enum):
    """What is looked for; each but the last costs some canaries."""

    CANARY = auto()
    PROOF = auto()
    DIFFERENCES = auto()


def doctor(
    context: typer.Context,
    *,
    prove: Annotated[
        bool, typer.Option("--prove", help="Also send a canary through every edge, and one into its dead letters.")
    ] = False,
    canary: Annotated[
        bool, typer.Option("--canary", help="Send a canary through every edge and look at nothing else.")
    ] = False,
    problems: Annotated[bool, typer.Option("--problems", help="Show only what wants a person's eye.")] = False,
    timeout_seconds: Timeout = 120,
    form: InForm = Form.TABLE,
) -> None:
    """Compare the stack with its description and say what to fix. Changes nothing, but for the canaries."""
    if prove and canary:
        raise typer.BadParameter("--prove does what --canary does, and more; name one of them")

    sought = Sought.CANARY if canary else Sought.PROOF if prove else Sought.DIFFERENCES

    def _is_told(finding: Finding) -> bool:
        return not (problems and finding.is_well)

    async def work(stack: Stack) -> int:
        findings: list[Finding] = []
        patience = proof.Patience(timedelta(seconds=timeout_seconds))
        read = [] if sought is Sought.CANARY else await _documents(stack)
        for finding in chain(read, _findings(stack, sought, patience)):
            findings.append(finding)
            if _is_told(finding) and not form.is_data:
                console.print(render.finding_line(finding))
        healthy = is_healthy(findings)
        if form.is_data:
            told = [asdict(finding) for finding in findings if _is_told(finding)]
            say({"healthy": healthy, "findings": told}, form)
        else:
            console.print(render.findings_summary(findings))
        return Exit.DONE if healthy else Exit.FAILED

    act(context, work)


async def _documents(stack: Stack) -> list[Finding]:
    target = stack.target
    return await documents.look(stack.store, bucket=target.bucket, now=stack.clock(), raw_days=target.raw_days)


def _findings(stack: Stack, sought: Sought, patience: proof.Patience) -> Iterator[Finding]:
    with site.opened(stack.target, topology.read(TOPOLOGY), INFRA) as opened:
        if sought is not Sought.CANARY:
            yield from examination.examine(opened, stack.clock())
        if sought is not Sought.DIFFERENCES:
            yield from proof.quick(opened, _new_id, patience)
        if sought is Sought.PROOF:
            yield from proof.dead_letters(opened, _new_id(), patience)


def _new_id() -> str:
    return secrets.token_hex(8)

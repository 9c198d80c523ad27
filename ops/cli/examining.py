"""`releases doctor`: is the stack as it is described, and does every edge carry?"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from itertools import chain
from typing import Annotated

import typer

from contracts import topology
from ops.cli import render
from ops.cli.session import AsJson, Exit, act, console, say_json
from ops.doctor import documents, examination, proof, site
from ops.doctor.findings import Finding, is_healthy
from ops.target import INFRA, TOPOLOGY, Stack


def doctor(
    context: typer.Context,
    *,
    prove: Annotated[
        bool, typer.Option("--prove", help="Also send a canary through every edge, and one into its dead letters.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for canaries.")] = 120,
    as_json: AsJson = False,
) -> None:
    """Compare the stack with its description and say what to fix. Changes nothing, but for the canaries of --prove."""

    async def work(stack: Stack) -> int:
        findings: list[Finding] = []
        target, patience = stack.target, proof.Patience(timedelta(seconds=timeout))
        read = await documents.look(stack.store, bucket=target.bucket, now=stack.clock(), raw_days=target.raw_days)
        for finding in chain(read, _findings(stack, prove=prove, patience=patience)):
            findings.append(finding)
            if not as_json:
                console.print(render.finding_line(finding))
        healthy = is_healthy(findings)
        if as_json:
            say_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
        else:
            console.print(render.findings_summary(findings))
        return Exit.DONE if healthy else Exit.REFUSED

    act(context, work)


def _findings(stack: Stack, *, prove: bool, patience: proof.Patience) -> Iterator[Finding]:
    with site.opened(stack.target, topology.read(TOPOLOGY), INFRA) as opened:
        yield from examination.examine(opened, stack.clock())
        if prove:
            yield from proof.prove(opened, lambda: secrets.token_hex(8), patience)

"""Whether a stack is as `infra/topology.json` describes it: thin probes read it, pure functions (`judge_…`) judge it.

`examination.examine` only reads; `proof` sends a canary through every edge.
"""

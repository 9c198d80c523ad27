"""Whether a stack is as `infra/topology.json` describes it: facts gathered by thin probes, judged by pure functions.

`examination.examine` looks and changes nothing; `proof` sends a canary through every edge.
"""

"""`fab setup`: what makes a bare host ready (docs/adr/0009).

Pure: `resources` are the values, `settings` what they depend on, `wanted` the list of them, `rendering` fills in
`files/`, `words` tells a plan. The shell around them: `keys` reads public keys here, `agents` reaches the hosts as
root, `carrying` looks and applies; on the hosts that is `host/outfit*.py`.
"""

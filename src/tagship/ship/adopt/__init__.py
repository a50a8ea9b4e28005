"""`fab adopt`: what serves a host already becomes an ordinary release of ours (docs/adr/0010).

Pure: `findings` are what serves there now and what speaks against it, `resources` and `outfit` what is changed beside
`fab setup`'s own, `relay` the release. The shell around them: `carrying` takes hosts over, `undoing` gives them back.
"""

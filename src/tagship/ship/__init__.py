"""A bundle and a fleet in, a changed fleet out.

Pure: `layout`, `survey`, `status`, `shipment`, `plan`, `services`, `settle`, `heal`, `deploy`, `rollback`, `start`,
`stop` and `remarks`; they decide what will be done, and can be tested with data files. The shell around them:
`transport` and `link` speak to one agent, `fleet` to all of them, `executor` carries a plan out or puts everything
back. The doors: `connecting` makes a fleet of a stage, `loading` fits a shipment to it, `changing` and `looking` hold
the verbs.
"""

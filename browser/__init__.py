"""The default theme in a real browser: `inv check-theme`.

::

    axe         axe-core, pinned by version and hash, kept in a cache outside the tree
    chromium    a headless Chromium, spoken to over a pipe
    sample      a site that shows everything the theme has rules for
    looking     every page, wide, narrow and printed, light and dark: what axe-core says, and what sticks out
"""

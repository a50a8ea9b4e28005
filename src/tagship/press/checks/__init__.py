"""What is wrong with a site, all of it in one run, as `file:line:column: code message`.

::

    codes           every kind of finding: its name, how bad it is, what it means
    findings        a finding as a value; what the project ignores, and why
    sources         posts and pages as they were written, each problem of each of them
    building        a build that goes on without what can't be built
    page            one built page, parsed once; everything below reads it
    site            the built tree: its pages, its files, and what answers an address
    links           links, anchors and assets inside the site
    external        links that leave it
    validity        HTML as the standard has it: `turbohtml` for what elements may be, `nesting` for how they close
    accessibility   names, labels, headings, language
    contrast        text against its background: `stylesheets` laid flat, `colours` compared
    references      notes and links that are named and never defined
    titles          two pages that are called alike
    feeds           Atom, as readers want it
    placing         from a place in the output to the line that somebody wrote
    running         all of them
    sarif           the same findings for a code host

Every kind of check is a function from the `Site` to remarks (`site.Check`); `running.CHECKS` lists them.
"""

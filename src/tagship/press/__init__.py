"""The press: posts, pages, templates and assets in, a site out. It knows nothing of hosts.

::

    frontmatter   the lines between `---` to checked fields
    content       files to texts
    inputs        listing and reading files; `sources` are all of one site, and what changed of them
    reads         what is asked while something is made
    views         the site as templates see it; notes what they ask
    markup        Markdown to HTML, one engine a process
    bodies        rendered Markdown, kept for the next build
    assets        names to fingerprinted names
    templates     Jinja2, with errors that name file and line; `layouts` are known without it
    data          data files for templates
    feed          feeds, the sitemap, robots.txt
    pages         which files there are, and how each kind is planned and made
    share         what one process does of a build; `pool` and `worker` let several do it
    build         one build: what changed, what follows from it, and no more
    state         what a build leaves for the next
    trees         two trees that take turns; `turns` builds into them, `tree` writes a new one
    due           when what is published changes by itself
    output        where a site is put; `told` is what a build tells of itself
    serve         builds again whenever `watching` tells; `glance` shows the page that was saved before that
"""

"""The press: posts, pages, templates and assets in, a site out. It knows nothing of hosts.

::

    frontmatter   the lines between `---` to checked fields
    content       files to frozen posts and pages
    markup        Markdown to HTML, one engine a process
    pool          many texts through many processes, in order
    assets        names to fingerprinted names
    templates     Jinja2, with errors that name file and line
    feed          the Atom feed, the sitemap, robots.txt
    pages         which page shows what
    tree          one owner a URL, one writer of files
    build         all of it, once; `output` puts it in place, `serve` does it again whenever `watching` tells
"""

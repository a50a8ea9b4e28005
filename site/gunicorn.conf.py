"""How gunicorn runs the site; here it skips a setting that it is too old to know, as a flag it would refuse it."""

# `site` is also a module of Python's own, so wsgi.py is found by being in the working folder.
chdir = "site"
workers = 2
# Old and new release run side by side for a moment; they would fight for the one socket in the user's home.
control_socket_disable = True

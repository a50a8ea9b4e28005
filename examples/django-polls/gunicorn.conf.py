"""How gunicorn runs the application; the socket to listen on is given by `start` in tagship.yml."""

workers = 2
# A worker that does nothing for so long is replaced; one that was told to end has so long for its last requests.
timeout = 30
graceful_timeout = 10
# Old and new release run side by side for a moment; they would fight for the one socket in the user's home.
control_socket_disable = True

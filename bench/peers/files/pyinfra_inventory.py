"""The hosts of one run."""

import os

hosts = [
    (
        address,
        {
            "ssh_user": "deploy",
            "ssh_key": os.environ["BENCH_KEY"],
            "ssh_known_hosts_file": os.environ["BENCH_KNOWN_HOSTS"],
            "ssh_strict_host_key_checking": "yes",
        },
    )
    for address in os.environ["BENCH_HOSTS"].split(",")
]

ENV.fetch("BENCH_HOSTS").split(",").each { |address| server address, user: "deploy", roles: %w[app] }

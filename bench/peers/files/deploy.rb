set :application, "bench"
set :repo_url, ENV.fetch("BENCH_REPOSITORY")
set :branch, ENV.fetch("BENCH_TAG", "main")
set :deploy_to, ENV.fetch("BENCH_ROOT")
set :ssh_options, {
  keys: [ENV.fetch("BENCH_KEY")],
  keys_only: true,
  auth_methods: %w[publickey],
  user_known_hosts_file: ENV.fetch("BENCH_KNOWN_HOSTS"),
  verify_host_key: :always,
}

namespace :venv do
  task :install do
    on release_roles :all do
      within release_path do
        execute :python3, "-m", "venv", "venv"
        execute "./venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-index",
                "--find-links", ENV.fetch("BENCH_WHEELS"), "--require-hashes", "-r", "requirements.lock"
      end
    end
  end
end
after "deploy:updated", "venv:install"

namespace :web do
  task :restart do
    on release_roles :all do
      execute ENV.fetch("BENCH_RESTART")
    end
  end
end
after "deploy:publishing", "web:restart" # publishing is part of a rollback too

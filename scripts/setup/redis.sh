# Redis, for the tests of the shared stream directory: MILLRACE_TEST_REDIS_URL, the system's, else Debian's. Sourced by main.sh.

has_redis() { [[ -n ${MILLRACE_TEST_REDIS_URL:-} ]] || command -v redis-server >/dev/null || [[ -x /usr/bin/redis-server ]]; }

lacks_redis() {
	has_redis || ! can_install_debian_packages || lacking_packages "the tests with Redis" redis-server
}

setup_redis() {
	# Without root all other tests still run.
	has_redis || say "Redis is missing: its tests are skipped. Install it as root (apt-get install redis-server) or set MILLRACE_TEST_REDIS_URL."
}

# Messages and progress on stderr. Sourced by main.sh.

say() { printf '%s\n' "$*" >&2; }

# Fails with the message about what is missing: what, why it could not be installed, the remedy.
die() {
	say "error: $*"
	exit 1
}

# with_progress TITLE COMMAND...: runs a command and shows only the elapsed seconds and its last line of output;
# shows the end of its output when it fails. Returns the command's status.
with_progress() {
	local title=$1 log started=$SECONDS status=0 pid shown=0
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/millrace-setup.XXXXXXXX")
	# In a separate process group, so that an interrupt also ends the command's children.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the values of now are meant
	trap "kill -- -$pid 2>/dev/null || true; rm -f '$log'; exit 130" INT TERM
	[[ -t 2 ]] || say "$title ..."
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		local elapsed=$((SECONDS - started))
		if [[ -t 2 && $elapsed -gt 0 ]]; then
			printf '\r\033[K%s ... %d s  %s' "$title" "$elapsed" "$(tail -c 300 "$log" | tr '\r' '\n' | tail -n 1 | cut -c 1-60)" >&2
		elif [[ ! -t 2 && $((elapsed / 15)) -gt $shown ]]; then
			shown=$((elapsed / 15))
			say "$title ... $elapsed s  $(tail -c 300 "$log" | tr '\r' '\n' | tail -n 1 | cut -c 1-60)"
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	if [[ $status -eq 0 ]]; then
		say "$title: done in $((SECONDS - started)) s"
	else
		say "$title: failed after $((SECONDS - started)) s"
		tail -n "${PROGRESS_TAIL:-15}" "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

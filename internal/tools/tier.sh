#!/usr/bin/env bash
# tier.sh TIER... [-- TIER...]... runs tiers of tests, one after the other, and
# leaves the count to bin/tally. What -- separates runs side by side: guests
# wait for their turn anyway, and so a long one leaves no processor idle. A
# tier that cannot run here is recorded as skipped with the reason. See
# CONTRIBUTING.md for what the tiers are.
#
# Environment: RESULTS (folder of the results), FUZZTIME, BENCHTIME.
set -euo pipefail
cd "$(dirname "$0")/../.."

RESULTS=${RESULTS:-dist/tally}
FUZZTIME=${FUZZTIME:-5s}
BENCHTIME=${BENCHTIME:-1s}
RIG="'$PWD/bin/rig'" # go test -exec reads quotes
KERNEL_TESTS='^(Test|Example|Fuzz)Kernel'
export LVSKIT_GUEST_FILES=${LVSKIT_GUEST_FILES:-/sbin/ipvsadm}

tally() { bin/tally "$1" -dir "$RESULTS" "${@:2}"; }

# race prints -race where the race detector can be built.
race() { if command -v gcc >/dev/null; then echo -race; fi; }

# have KERNEL TIER: is the guest kernel here? If not the tier is recorded as
# skipped.
have() {
	local why
	if why=$(bin/rig which "$1" 2>&1 >/dev/null); then
		return 0
	fi
	tally skip -tier "$2" "${why#rig: }"
	return 1
}

host() {
	if [ -z "$(race)" ]; then
		tally skip -tier "race detector" "gcc is missing"
	fi
	tally run -tier host -- go test -json -timeout 10m $(race) ./...
}

# schedules plays the state machines of failover; the race detector has nothing
# to find in one goroutine, and would take ten times as long.
schedules() {
	LVSKIT_SCHEDULES=${LVSKIT_SCHEDULES:-100000} tally run -tier schedules -- \
		go test -json -timeout 10m -run '^TestSchedules$' ./failover/failovertest/simulate
}

netns() {
	local why
	if ! why=$(unshare -n true 2>&1); then
		tally skip -tier netns "network namespaces: ${why##*: }: run as root"
		return 0
	fi
	tally run -tier netns -tag netns -- go test -json -timeout 10m $(race) -tags netns -run '^TestNetns'
}

# peers meets real programs of Debian's on loopback, and servers that are
# libraries of Go.
peers() {
	tally run -tier peers -tag peers -- go test -json -timeout 10m $(race) -tags peers -run '^TestPeers'
	tally run -tier "peers in Go" -- go test -C internal/bench -json -timeout 5m -tags peers -run '^TestPeers' ./peers
}

debian() {
	have debian "kernel debian" || return 0
	CGO_ENABLED=0 tally run -tier "kernel debian" -tag kernel -- \
		go test -json -timeout 9m -exec "$RIG -kernel debian -mem 1G -timeout 10m" -tags kernel -run "$KERNEL_TESTS"
}

own() {
	have own "kernel own" || return 0
	CGO_ENABLED=0 tally run -tier "kernel own" -tag kernel -- \
		go test -json -timeout 9m -exec "$RIG -kernel own -mem 1G -timeout 10m" -tags kernel -run "$KERNEL_TESTS"
}

simtime() {
	have own "simulated time" || return 0
	CGO_ENABLED=0 tally run -tier "simulated time" -tag simtime -- \
		go test -json -timeout 24h -exec "$RIG -kernel own -simulated-time -mem 1G -timeout 5m" -tags simtime -run '^TestSim'
}

qemu() {
	if ! bin/rig which qemu >/dev/null 2>&1; then
		bin/rig fetch-kernel || true
	fi
	have qemu "kernel qemu" || return 0
	if ! command -v qemu-system-x86_64 >/dev/null; then
		tally skip -tier "kernel qemu" "qemu-system-x86_64 is missing"
		return 0
	fi
	tally run -tier "kernel qemu" -tag kernel -- \
		go test -json -timeout 9m $(race) -exec "$RIG -kernel qemu -mem 1G -timeout 10m" -tags kernel -run "$KERNEL_TESTS"
}

# rig KERNEL proves the wrapper itself.
rig() {
	have "$1" "rig on $1" || return 0
	tally run -tier "rig on $1" -- go test -json -timeout 10m -tags rig ./internal/rig -args -kernel "$1"
}

# fuzz gives each target a processor of its own and runs two at a time.
# Without a bound to what it spends on a smaller input, go test now and then
# takes the end of the time for a failure.
fuzz() {
	local lane pids=() code=0 pid
	for lane in 0 1; do
		git ls-files -co --exclude-standard '*_test.go' | xargs -r grep -HoE '^func Fuzz[A-Za-z0-9_]+' |
			sed 's/func //' | awk "NR % 2 == $lane" | while IFS=: read -r file name; do
			tally run -tier fuzz -- go test -json -run '^$' -parallel 1 -fuzz "^$name\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 30x "./$(dirname "$file")"
		done &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || code=1; done
	return $code
}

bench() {
	dataplane
	moves
	tally run -v -tier "bench of picks" -- \
		go test -C internal/bench -json -timeout 9m -bench Pick -benchtime "$BENCHTIME" -cpu 1,2 ./picks
	tally run -v -tier bench -- go test -json -run '^$' -bench . -benchmem -benchtime "$BENCHTIME" ./...
	have own "bench in a guest" || return 0
	CGO_ENABLED=0 tally run -v -tier "bench in a guest" -tag kernel -- \
		go test -json -timeout 9m -exec "$RIG -kernel own -mem 1G -timeout 10m" -tags kernel -run '^$' -bench Kernel -benchmem -benchtime "$BENCHTIME"
	# A module of its own: clients of others are no dependencies of ours.
	CGO_ENABLED=0 tally run -v -tier "bench with peers" -- \
		go test -C internal/bench -json -timeout 9m -exec "$RIG -kernel own -mem 1G -timeout 10m" -tags kernel -run '^$' -bench Kernel -benchtime "$BENCHTIME" . ./checks ./dataplane
}

# dataplane measures the one of package userspace beside HAProxy and nginx, in
# a network namespace.
dataplane() {
	local why program
	if ! why=$(unshare -n true 2>&1); then
		tally skip -tier "bench of the data plane" "network namespaces: ${why##*: }: run as root"
		return 0
	fi
	for program in /usr/sbin/haproxy /usr/lib/nginx/modules/ngx_stream_module.so /usr/bin/strace; do
		if [ ! -e "$program" ]; then
			tally skip -tier "bench of the data plane" "$program is missing: internal/tools/deps.sh dataplane"
			return 0
		fi
	done
	tally run -v -tier "bench of the data plane" -- \
		go test -C internal/bench -json -timeout 9m -tags peers -bench Peers -benchtime "$BENCHTIME" ./dataplane
}

# moves measures what a client notices of a move beside keepalived, in network
# namespaces.
moves() {
	local why
	if ! why=$(unshare -n true 2>&1); then
		tally skip -tier "bench of failover" "network namespaces: ${why##*: }: run as root"
		return 0
	fi
	if ! command -v keepalived >/dev/null; then
		tally skip -tier "bench of failover" "keepalived is missing: internal/tools/deps.sh own"
		return 0
	fi
	tally run -v -tier "bench of failover" -- \
		go test -C internal/bench -json -timeout 5m -tags peers -bench Peers -benchtime "$BENCHTIME" ./failover
}

[ $# -gt 0 ] || {
	echo "usage: tier.sh host|schedules|netns|peers|debian|own|simtime|qemu|rig-debian|rig-own|rig-qemu|fuzz|bench|dataplane ... [-- ...]" >&2
	exit 2
}
pids=() lane=() code=0
for tier in "$@" --; do
	case "$tier" in
	--)
		(for tier in "${lane[@]}"; do
			case "$tier" in
			rig-*) rig "${tier#rig-}" ;;
			*) "$tier" ;;
			esac
		done) &
		pids+=($!) lane=()
		;;
	host | schedules | netns | peers | debian | own | simtime | qemu | fuzz | bench | dataplane | rig-debian | rig-own | rig-qemu) lane+=("$tier") ;;
	*)
		echo "tier.sh: unknown tier '$tier'" >&2
		exit 2
		;;
	esac
done
for pid in "${pids[@]}"; do wait "$pid" || code=1; done
exit $code

#!/usr/bin/env bash
# deps.sh SET... installs what the tiers of tests need, on Debian and its
# relatives: as root, or with sudo where that asks no password. Otherwise it
# says what is missing and exits with 3. Nothing is done, quickly, when all is
# there. No service is started by it.
set -euo pipefail

packages() {
	case "$1" in
	make) echo make ;;
	host) echo gcc libc6-dev xz-utils mandoc vim ;;
	netns) echo iproute2 nftables ;;
	peers)
		echo nginx-light wrk keepalived frr redis-server memcached dnsmasq-base bird2 leafnode
		echo postfix dovecot-imapd dovecot-pop3d vsftpd kamailio tomcat10-common monitoring-plugins-basic
		echo mariadb-server-core postgresql slapd freeradius chrony unbound
		echo rpcbind rstatd rstat-client rwhod rwho prometheus-node-exporter
		;;
	dataplane) echo haproxy nginx-light libnginx-mod-stream strace ;;
	debian) echo user-mode-linux kmod ipvsadm ;;
	own) echo xz-utils ipvsadm keepalived ;;
	build) echo linux-source-6.12 gcc make libc6-dev flex bison bc xz-utils ;;
	qemu) echo qemu-system-x86 kmod ipvsadm gcc libc6-dev ;;
	*)
		echo "deps.sh: unknown set '$1': use make, host, netns, peers, dataplane, debian, own, build, qemu" >&2
		exit 2
		;;
	esac
}

[ $# -gt 0 ] || {
	echo "usage: deps.sh SET..." >&2
	exit 2
}
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is no Debian; install by hand what the tests miss" >&2
	exit 3
fi

missing=()
for set in "$@"; do
	for package in $(packages "$set"); do
		status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
		case "$status" in
		*" installed") ;;
		*) missing+=("$package") ;;
		esac
	done
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root=(sudo -n)
	else
		echo "deps.sh: missing, and no root to install them: ${missing[*]}" >&2
		echo "deps.sh: run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 3
	fi
fi

echo "deps.sh: installing ${missing[*]}" >&2
# With a runlevel of 1 Debian's invoke-rc.d starts no services; the links keep
# systemd from starting those we know of.
env_vars=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 PATH="$PATH:/usr/sbin:/sbin")
masked=()
for package in "${missing[@]}"; do
	case "$package" in
	nginx-light) units=nginx.service ;;
	bird2) units=bird.service ;;
	leafnode) units=leafnode.socket ;;
	keepalived | frr | haproxy | redis-server | memcached | rwhod | prometheus-node-exporter) units=$package.service ;;
	postfix | vsftpd | kamailio | postgresql | slapd | freeradius | chrony | unbound) units=$package.service ;;
	dovecot-imapd | dovecot-pop3d) units=dovecot.service ;;
	rpcbind) units="rpcbind.service rpcbind.socket" ;;
	rstatd) units=inetd.service ;; # which it brings along
	*) continue ;;
	esac
	for unit in $units; do
		link=/etc/systemd/system/$unit
		[ -e "$link" ] || [ -L "$link" ] || [[ " ${masked[*]} " = *" $link "* ]] || masked+=("$link")
	done
done
if [ ${#masked[@]} -gt 0 ]; then
	trap '"${as_root[@]}" rm -f "${masked[@]}"' EXIT
	"${as_root[@]}" mkdir -p /etc/systemd/system
	for link in "${masked[@]}"; do
		"${as_root[@]}" ln -s /dev/null "$link"
	done
fi
# It would ask a news server of the network for its groups.
case " ${missing[*]} " in
*" leafnode "*) echo "leafnode leafnode/update-groups boolean false" | "${as_root[@]}" debconf-set-selections ;;
esac
"${as_root[@]}" "${env_vars[@]}" apt-get -q update >&2 || {
	echo "deps.sh: apt-get update failed" >&2
	exit 3
}
install=("${as_root[@]}" "${env_vars[@]}" apt-get -q install -y --no-install-recommends)
# Debian lets a machine have one mail server and one that keeps its time. Those
# that it has stay, but where no test may be skipped.
if [ "${LVSKIT_NO_SKIP:-}" != 1 ]; then
	install+=(--no-remove)
	if ! "${install[@]}" --simulate "${missing[@]}" >/dev/null 2>&1; then
		fitting=()
		for package in "${missing[@]}"; do
			if "${install[@]}" --simulate "$package" >/dev/null 2>&1; then
				fitting+=("$package")
			else
				echo "deps.sh: $package is left out: it is not to be had, or not beside what is here" >&2
			fi
		done
		missing=("${fitting[@]}")
		[ ${#missing[@]} -gt 0 ] || exit 3
	fi
fi
"${install[@]}" "${missing[@]}" >&2 || {
	echo "deps.sh: apt-get install failed: ${missing[*]}" >&2
	exit 3
}

# Init of a private lab namespace: finishes its mounts and network, runs one command, passes signals on.
# Arguments: work directory, then the command. Ends with the command's exit code, or 125 when it cannot be run.
set -eu
work=$1
shift

tries=0
while ! ip route show default | grep -q tap0; do
    tries=$((tries + 1))
    if [ "$tries" -gt 500 ]; then
        echo "private network: the way out (slirp4netns) did not come up" >&2
        exit 125
    fi
    sleep 0.02
done
ip link set lo up

# LXC looks bridges up in /sys/class/net of the mounted sysfs, which must be this namespace's own.
mkdir "$work/cgroup"
mount --rbind /sys/fs/cgroup "$work/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$work/cgroup" /sys/fs/cgroup
umount -l "$work/cgroup"
mount --bind "$work/run" /run/proximity-lab

exec 3<&0
"$@" <&3 3<&- &
command=$!
trap 'kill -TERM "$command" 2>/dev/null || true' TERM INT HUP
while :; do
    code=0
    wait "$command" || code=$?
    kill -0 "$command" 2>/dev/null || exit "$code"
done

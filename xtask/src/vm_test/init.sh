#!/bin/busybox sh
# The first process of a guest: runs every test binary, or one program, and powers off. What it says itself begins with "vm: ".
export PATH=/usr/bin:/usr/sbin:/bin HOME=/root TCPROUTE_BIN=/bin/tcproute TCPROUTE_TEST_DIVISOR=20 PYTHONDONTWRITEBYTECODE=1
export TCPROUTE_WITHOUT_ENVOY='Envoy is too large for a virtual machine'
prepare() {
    mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev &&
        ln -s /proc/self/fd /dev/fd && ln -s /proc/self/fd/0 /dev/stdin &&
        mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t bpf bpf /sys/fs/bpf &&
        chmod 1777 /tmp && ifconfig lo up
}
if ! prepare; then
    echo "vm: the guest cannot be prepared"
    poweroff -f
fi
# Sized by the memory, this limit is less than the tests need, and connections are reset beyond it.
echo 262144 > /proc/sys/net/ipv4/tcp_max_tw_buckets
# Before 5.11 BPF memory counts against this limit; that tcproute raises it itself is tested as well.
echo "vm: kernel $(uname -r)"
if ! grep -q vm.probe /proc/cmdline; then
    for module in /modules/*.ko; do
        [ -e "$module" ] && insmod "$module"
    done
    if [ -e /alone ]; then
        $(cat /alone) 2>&1 && echo "vm: passed"
    else
        # There is no more than one processor behind those of an emulated guest, but tests wait much of their time.
        for binary in /tests/*; do
            grep -qx "${binary##*/}" /left-out && continue
            echo "vm: begin ${binary##*/}"
            "$binary" --test-threads 3 --show-output $(cat /filter) 2>&1
        done
        echo "vm: doctor"
        tcproute doctor --output json 2>&1
        echo "vm: end of doctor"
    fi
fi
echo "vm: done"
poweroff -f

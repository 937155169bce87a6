#!/bin/sh
# The first process of a vm-test guest: mounts, runs the steps, says how each ended, powers off.
export PATH=/usr/sbin:/usr/bin TERM=dumb LANG=C.UTF-8
export ROAR_REQUIRE_BPF=1 ROAR_BINARY=/roar/roar ROAR_WORKLOADS=/roar/workloads

# A root that is mounted on something: without, pivot_root(2) fails, and bubblewrap with it.
if [ "$1" != moved ]; then
    mkdir -p /mnt /root.moved
    mount --bind / /root.moved && cd /root.moved && mount --move . / && exec chroot . /init moved
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t securityfs securityfs /sys/kernel/security
for folder in /tmp /var/tmp; do
    mount -t tmpfs tmpfs $folder
    chmod 1777 $folder
done
# The packages' own scripts, which would make these, were not run.
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > /etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > /etc/group
depmod
for module in loop overlay ext4 btrfs xfs; do
    modprobe --quiet $module
done

seconds() {
    read -r up _ < /proc/uptime
    echo "${up%.*}"
}

echo "vm-test: up $(uname -rm)"
while read -r name command; do
    begin=$(seconds)
    echo "vm-test: begin $name"
    (cd /roar && sh -c "$command" < /dev/null)
    echo "vm-test: end $name $? $(($(seconds) - begin))"
done < /roar/steps
echo "vm-test: done"
echo o > /proc/sysrq-trigger
# The kernel powers off in its own time; the first process must not end before.
while :; do sleep 60; done

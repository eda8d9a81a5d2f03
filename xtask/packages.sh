# shellcheck shell=bash disable=SC2034
# Sourced by ./run and ./test: installs what is missing from the distribution's packages.
# Written for Debian 12 and Enterprise Linux 9 (Rocky, Alma, RHEL). No other source is used.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
else
    command -v sudo >/dev/null || die "Network namespaces and images need root: run this as root, or install sudo."
    as_root() { sudo "$@"; }
fi

# What each program or file is needed for, and the package that has it: "path|Debian|EL|why".
# A path may be a pattern with alternatives separated by blanks; the first that exists will do.
BUILD_NEEDS=(
    "/usr/bin/cc|gcc libc6-dev|gcc glibc-devel|links programs, and compiles SQLite and zstd"
    "/usr/lib/x86_64-linux-gnu/libc.a /usr/lib/aarch64-linux-gnu/libc.a /usr/lib64/libc.a|libc6-dev|glibc-static|links the agent statically"
)
MACHINE_NEEDS=(
    "/usr/bin/qemu-system-x86_64 /usr/libexec/qemu-kvm|qemu-system-x86|qemu-kvm-core|runs the virtual machines"
    "/usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/edk2/ovmf/OVMF_CODE.fd|ovmf|edk2-ovmf|UEFI firmware of the machines"
    "/usr/lib/ipxe/qemu/efi-virtio.rom /usr/share/ipxe.efi /usr/share/ipxe/1af41000.rom|ipxe-qemu|ipxe-roms-qemu|network boot ROM of the machines"
    "/usr/lib/ipxe/ipxe.efi /usr/share/ipxe/ipxe-x86_64.efi /usr/share/ipxe/ipxe.efi|ipxe|ipxe-bootimgs-x86|boot programs that the TFTP server gives out"
    "/usr/lib/grub/x86_64-efi/moddep.lst|grub-efi-amd64-bin|grub2-efi-x64-modules|starts nodes' own disks by UEFI"
    "/usr/lib/grub/i386-pc/moddep.lst|grub-pc-bin|grub2-pc-modules|starts nodes' own disks by BIOS"
    "/usr/bin/grub-mkimage /usr/bin/grub2-mkimage|grub-common|grub2-tools|makes the above bootable"
    "/usr/bin/mmdebstrap /usr/bin/dnf|mmdebstrap|dnf|makes the operating system image"
    "/usr/sbin/ip /usr/bin/ip /bin/ip|iproute2|iproute|network namespaces and bridges"
    "/usr/sbin/ethtool /sbin/ethtool|ethtool|ethtool|checksums on the bridge"
    "/usr/bin/ipmi_sim|openipmi|OpenIPMI-lanserv|a BMC for a machine"
    "/usr/bin/ssh|openssh-client|openssh-clients|logs in to the nodes"
    "/usr/bin/zstd|zstd|zstd|compresses the initramfs"
    "/usr/bin/cpio|cpio|cpio|lists the initramfs"
    "/usr/sbin/depmod /sbin/depmod|kmod|kmod|kernel modules of the image"
    "/usr/sbin/sfdisk /sbin/sfdisk|fdisk|util-linux|partitions disks"
    "/usr/sbin/mkfs.ext4 /sbin/mkfs.ext4|e2fsprogs|e2fsprogs|file systems"
    "/usr/sbin/mkfs.vfat /sbin/mkfs.vfat|dosfstools|dosfstools|EFI system partitions"
)
TEST_NEEDS=(
    "/usr/bin/mcopy|mtools|mtools|puts files on EFI system partitions"
    "/usr/bin/rsync|rsync|rsync|copies images from nodes and to them"
    "/usr/sbin/dnsmasq|dnsmasq-base|dnsmasq|a server to test machines against"
    "/usr/bin/curl|curl|curl|a TFTP and HTTP client"
    "/usr/sbin/nginx|nginx-light|nginx|the web server that existing sites have in front"
    "/usr/bin/openssl|openssl|openssl|a TLS client"
    "/usr/bin/udhcpc /usr/sbin/udhcpc|udhcpc|-|a DHCP client"
    "/usr/sbin/dhclient /sbin/dhclient|isc-dhcp-client|dhcp-client|a DHCP client"
    "/usr/sbin/dhcpd|isc-dhcp-server|dhcp-server|a DHCP server whose file is written"
    "/usr/sbin/kea-dhcp4|kea-dhcp4-server|-|a DHCP server that takes its configuration while it serves"
    "/usr/sbin/kea-dhcp6|kea-dhcp6-server|-|the same for IPv6"
    "/usr/sbin/dhcrelay|isc-dhcp-relay|dhcp-relay|asks for machines of other networks"
    "/usr/bin/atftp|atftp|-|a TFTP client"
    "/usr/bin/rdisc6|ndisc6|-|looks for IPv6 routers"
    "/usr/sbin/radvd|radvd|radvd|an IPv6 router beside ours"
    "/usr/bin/tftp|tftp-hpa|tftp|a TFTP client"
    "/usr/bin/dig|bind9-dnsutils|bind-utils|a DNS client"
    "/usr/sbin/named|bind9|bind|a name server beside ours"
    "/usr/bin/dnsperf|dnsperf|-|a DNS load generator"
    "/usr/sbin/perfdhcp|kea-admin|-|a DHCP load generator"
    "/usr/bin/prometheus|prometheus|-|reads metrics, and checks rules of alerts"
    "/usr/bin/aria2c|aria2|-|fetches images by torrent, as existing installers do"
    "/usr/bin/jq|jq|jq|reads what the hooks of the pages are told"
    "/usr/sbin/slurmctld|slurmctld|-|a controller of Slurm that hooks tell of nodes"
    "/usr/bin/scontrol|slurm-client|-|has it read its configuration again"
    "/usr/bin/nodeattr|genders|-|reads the file of genders"
    "/usr/bin/setfacl|acl|acl|access control lists in images"
    "/usr/bin/setfattr|attr|attr|extended attributes in images"
    "/usr/sbin/setcap /sbin/setcap|libcap2-bin|libcap|file capabilities in images"
    "/usr/bin/lbzip2|lbzip2|lbzip2|the packer that ours is measured against"
    "/usr/bin/busybox /bin/busybox|busybox|-|small roots for tests"
    "/usr/bin/ipmitool|ipmitool|ipmitool|another client of the same BMCs"
    "/usr/sbin/slapd|slapd|-|an LDAP server to keep users in"
    "/usr/lib/postgresql/*/bin/initdb /usr/bin/initdb|postgresql-15|postgresql-server|a database for several controllers"
    "/usr/lib/postgresql/*/bin/psql /usr/bin/psql|postgresql-client-15|postgresql|asks it"
    "/usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib64/faketime/libfaketimeMT.so.1|libfaketime|-|sets the clocks of controllers"
    "/usr/sbin/keepalived|keepalived|keepalived|moves an address between controllers"
    "/usr/sbin/snmpd|snmpd|net-snmp|a switch to ask who is connected to it"
    "/usr/bin/nmcli|network-manager|NetworkManager|reads network profiles of nodes"
    "/usr/libexec/netplan/generate /usr/lib/netplan/generate|netplan.io|-|reads network profiles of nodes"
    "/sbin/ifquery /usr/sbin/ifquery|ifupdown|-|reads network profiles of nodes"
    "/usr/lib/python3/dist-packages/yaml/__init__.py /usr/lib64/python3.9/site-packages/yaml/__init__.py|python3-yaml|python3-pyyaml|another reader and writer of YAML"
    "/usr/bin/nodeset|clustershell|clustershell|asks for the groups of the cluster"
    "/usr/bin/rpmbuild|rpm|rpm-build|makes and reads the .rpm"
    "/usr/bin/dpkg-deb|dpkg|dpkg|makes the .deb"
    "/usr/bin/shellcheck|shellcheck|-|reads the install script"
)

is_there() {
    local path
    for path in $1; do [ -e "$path" ] && return 0; done
    return 1
}

# ensure "${NEEDS[@]}": installs the packages of what is missing, and says why.
ensure() {
    local need paths debian el why package packages=()
    for need in "$@"; do
        IFS='|' read -r paths debian el why <<<"$need"
        is_there "$paths" && continue
        package=$debian
        [ "$DISTRIBUTION" = el ] && package=$el
        [ "$package" = - ] && continue
        say "  installing $package: $why"
        # shellcheck disable=SC2206 # an entry may name several packages
        packages+=($package)
    done
    [ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
}

install_packages() {
    if [ "$DISTRIBUTION" = el ]; then
        as_root dnf install --assumeyes --quiet --setopt=install_weak_deps=False "$@"
        return
    fi
    local apt=(apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
    as_root "${apt[@]}" update -qq
    local install=("${apt[@]}" install --assume-yes --no-install-recommends)
    # Where tools from backports are installed, the distribution's own virtual machine cannot be: the two share
    # packages of one version. Then they take the version that the virtual machine wants.
    if ! as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq "$@"; then
        local version installed
        version=$(apt-cache policy qemu-system-x86 | awk '/Candidate:/ {print $2}')
        installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Abbrev}\n' 'qemu-utils' 'qemu-block-extra' 2>/dev/null |
            awk -v version="$version" '$2 ~ /^ii/ {print $1 "=" version}')
        [ -n "$installed" ] || die "apt-get could not install: $*"
        say "  qemu of this distribution needs ${installed//$'\n'/ } (another version is installed): changing it"
        # shellcheck disable=SC2086 # one word a package
        as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq --allow-downgrades "$@" $installed
    fi
}

# NetworkManager is wanted for its parser only: its daemon must not take over the network of this host.
keep_network_manager_asleep() {
    [ -e /usr/sbin/NetworkManager ] || [ ! -d /etc/systemd/system ] ||
        as_root ln -sf /dev/null /etc/systemd/system/NetworkManager.service
}

# PostgreSQL is wanted for its programs only: tests start their own servers.
keep_postgresql_asleep() {
    [ "$DISTRIBUTION" = debian ] && [ ! -e /etc/postgresql-common ] || return 0
    as_root mkdir -p /etc/postgresql-common/createcluster.d &&
        as_root sh -c "echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/perilune-tests.conf"
}

# Rust: whatever cargo is at hand, if it is new enough.
ensure_rust() {
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(cargo --version 2>/dev/null | awk '{print $2}' || true)
    if [ -z "$have" ] && command -v rustup >/dev/null; then
        rustup default stable && have=$(cargo --version | awk '{print $2}')
    fi
    if [ -z "$have" ]; then
        say "  installing rust from the distribution: builds everything"
        if [ "$DISTRIBUTION" = el ]; then install_packages cargo; else install_packages cargo rustc; fi
        have=$(cargo --version | awk '{print $2}')
    fi
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        die "Rust $wanted or newer is needed; cargo here is ${have:-missing}. Install it with rustup (\"rustup update stable\";
rustup itself is described at the Rust project's site), then run this again."
    fi
}

if [ -r /etc/debian_version ]; then
    DISTRIBUTION=debian
elif [ -r /etc/redhat-release ]; then
    DISTRIBUTION=el
else
    die "This script knows the packages of Debian 12 and Enterprise Linux 9. Elsewhere, install what xtask/packages.sh lists,
then: cargo xtask demo"
fi

#!/bin/sh
# What this node can start from its own disk. Perilune has put this here at the installation; what it goes by is in
# /etc/perilune/boot.conf. The distribution calls it when a kernel comes or goes. After a change of that file, run it by hand.
#
#   kernels             copies kernels with their initramfs to where the boot loader finds them, and writes its menu
#   kernels remove V    the same, while version V is being removed
#   kernels menu        prints the menu for GRUB, from what was copied
#
# The newest version is started; the others stay in the menu. The image's own kernel starts with the installer's
# initramfs; a version that came later with that of the distribution (initramfs-tools, dracut). Without one it is not started.
set -u
export LC_ALL=C
# The menu is nobody's business but root's.
umask 077
root=${PERILUNE_ROOT-}
[ -r "$root/etc/perilune/boot.conf" ] || exit 0
title='' options='' loader='' kernel='' image_kernels='' place='' path='' filesystem='' menu='' mount=''
# shellcheck source=/dev/null
. "$root/etc/perilune/boot.conf"
gone=''
[ "${1-}" != remove ] || gone=${2-}
place=$root$place menu=$root$menu
status=0

say() { echo "perilune: $*" >&2; }

kernel_of() {
    for file in "/boot/vmlinuz-$1" "/boot/Image-$1" "/lib/modules/$1/vmlinuz"; do
        if [ -s "$root$file" ]; then echo "$root$file"; return 0; fi
    done
    return 1
}

initramfs_of() {
    for file in "/boot/initrd.img-$1" "/boot/initramfs-$1.img" "/boot/initrd-$1"; do
        if [ -s "$root$file" ]; then echo "$root$file"; return 0; fi
    done
    return 1
}

has_modules() { [ "$1" != "$gone" ] && [ -d "$root/lib/modules/$1/kernel" ]; }

is_complete() { [ -s "$1/vmlinuz" ] && [ -s "$1/initramfs" ]; }

# Whether the kernel that the controller served is still that of the system.
has_own() { is_complete "$place" && { [ -z "$kernel" ] || has_modules "$kernel"; }; }

# Versions of the distribution that can be started. What the image brought along is started in the controller's way.
versions() {
    for modules in "$root"/lib/modules/*/; do
        version=${modules%/}
        version=${version##*/}
        has_modules "$version" || continue
        file=$(kernel_of "$version") || continue
        if [ "$version" = "$kernel" ] && has_own; then
            # Another build of the same version.
            ! cmp -s "$file" "$place/vmlinuz" || continue
        elif has_own; then
            case " $image_kernels " in *" $version "*) continue ;; esac
        fi
        if initramfs_of "$version" >/dev/null; then
            echo "$version"
        else
            say "$version has no initramfs and is not started; initramfs-tools or dracut makes one"
        fi
    done
}

copy() {
    cmp -s "$1" "$2" && return 0
    cp "$1" "$2.new" && sync "$2.new" && mv -f "$2.new" "$2" && return 0
    rm -f "$2.new"
    return 1
}

# A version is complete before the menu names it, and one that was complete stays so when there is no room.
bring() {
    mkdir -p "$place/$1" &&
        copy "$(kernel_of "$1")" "$place/$1/vmlinuz" && copy "$(initramfs_of "$1")" "$place/$1/initramfs" && return 0
    status=1
    if is_complete "$place/$1"; then
        say "$1 cannot be copied to $place, and is started as it was before"
        return 0
    fi
    rm -rf "${place:?}/$1"
    say "$1 cannot be copied to $place, and is not started; is there room?"
    return 1
}

# Lines of a version and the directory with its files below $place, the first to be started first. A build that
# the distribution has replaced comes behind its successor.
entries() {
    {
        ! has_own || echo "${kernel:-0} 0 ."
        for version in $1; do echo "$version 1 $version"; done
    } | sort -rV | while read -r version _ directory; do echo "$version $directory"; done
}

# What was copied and belongs to a system that is here.
copied() {
    for directory in "$place"/*/; do
        version=${directory%/}
        version=${version##*/}
        if is_complete "$place/$version" && has_modules "$version"; then echo "$version"; fi
    done
}

identity() { if [ "$1" = . ]; then echo perilune; else echo "perilune-$1"; fi; }

grub_menu() {
    first='' second=''
    while read -r version directory; do
        if [ -z "$first" ]; then first=$(identity "$directory")
        elif [ -z "$second" ]; then second=$(identity "$directory"); fi
    done <<LIST
$1
LIST
    [ -n "$first" ] || return 1
    if [ -n "$second" ]; then
        printf 'set timeout=3\nset default=%s\nset fallback=%s\n' "$first" "$second"
    else
        printf 'set timeout=0\nset default=%s\n' "$first"
    fi
    while read -r version directory; do
        files=$path/$directory
        [ "$directory" != . ] || files=$path
        printf "menuentry %s', %s' --unrestricted --id %s {\n" "$title" "$version" "$(identity "$directory")"
        printf '    search --no-floppy --fs-uuid --set=root %s\n' "$filesystem"
        printf '    linux %s/vmlinuz %s\n    initrd %s/initramfs\n}\n' "$files" "$options" "$files"
    done <<LIST
$1
LIST
}

# Replaces a file as a whole by what comes in.
put() {
    if cat >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1"; then return 0; fi
    rm -f "$1.new"
    say "$1 cannot be written"
    return 1
}

systemd_boot_menu() {
    mkdir -p "$menu/entries" || return 1
    first='' count=0 names=' '
    while read -r version directory; do
        name=$(identity "$directory").conf files=$path/$directory
        [ "$directory" != . ] || files=$path
        put "$menu/entries/$name" <<ENTRY || return 1
title $title
version $version
linux $files/vmlinuz
initrd $files/initramfs
options $options
ENTRY
        first=${first:-$name} count=$((count + 1)) names="$names$name "
    done <<LIST
$1
LIST
    timeout=0
    [ "$count" = 1 ] || timeout=3
    put "$menu/loader.conf" <<LOADER || return 1
default $first
timeout $timeout
console-mode keep
LOADER
    for file in "$menu"/entries/perilune*.conf; do
        case "$names" in *" ${file##*/} "*) ;; *) rm -f "$file" ;; esac
    done
}

write_menu() {
    case "$loader" in
    grub) text=$(grub_menu "$1") && { echo "# Made by /usr/lib/perilune/kernels."; echo "$text"; } | put "$menu" ;;
    systemd-boot) systemd_boot_menu "$1" ;;
    *) say "the boot loader '$loader' is not known"; return 1 ;;
    esac
}

if [ "${1-}" = menu ]; then
    [ "$loader" = grub ] || exit 0
    list=$(entries "$(copied)")
    [ -z "$list" ] || grub_menu "$list"
    exit
fi

# The partition of the boot loader may be mounted nowhere.
if [ -n "$mount" ] && ! mountpoint -q "$root$mount"; then
    mkdir -p "$root$mount" && mount -t vfat -o umask=0077 "UUID=$filesystem" "$root$mount" || exit 1
    trap 'umount "$root$mount"' EXIT
fi

mkdir -p "$place" || exit 1
kept=''
for version in $(versions); do
    if bring "$version"; then kept="$kept $version"; fi
done
list=$(entries "$kept")
if [ -z "$list" ]; then
    say "there is no kernel with an initramfs; what the boot loader starts stays as it is"
    exit 1
fi
write_menu "$list" || exit 1
# Only now is nothing left that names them.
for directory in "$place"/*/; do
    version=${directory%/}
    case " $kept " in *" ${version##*/} "*) ;; *) rm -rf "$directory" ;; esac
done
has_own || rm -f "$place/vmlinuz" "$place/initramfs"
exit "$status"

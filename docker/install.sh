#!/bin/sh
# In a build stage: installs Debian packages and trusts the certificates in /usr/local/share/ca-certificates/site.
# Leaves out what nobody reads in an image, and the cross-compiler's libraries for other cores than ours.
set -eu
mkdir -p /etc/dpkg/dpkg.cfg.d
cat >/etc/dpkg/dpkg.cfg.d/slim <<'EOF'
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/info/*
path-exclude=/usr/lib/picolibc/riscv64-unknown-elf/lib/rv*
path-exclude=/usr/lib/picolibc/riscv64-unknown-elf/lib/release/*
path-exclude=/usr/lib/gcc/riscv64-unknown-elf/*/rv*
path-include=/usr/lib/picolibc/riscv64-unknown-elf/lib/rv32im/*
path-include=/usr/lib/gcc/riscv64-unknown-elf/*/rv32im/*
EOF
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates "$@" >/tmp/install.log 2>&1 || {
    tail -n 30 /tmp/install.log >&2
    exit 1
}
update-ca-certificates >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/* /tmp/install.log

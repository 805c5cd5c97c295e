"""The sample distribution's packages by name and version, one table for each kind; `distribution` makes them packages.

A line is `name version`, and what follows is said at the top of each table. The order matters: a package may need
those above it, never those below.
"""

from __future__ import annotations

# name version; binaries besides the one of the same name; what they need is in distribution.BASE_BUILD_REQUIRES.
BASE = """
sample-release 43 | sample-release-common
filesystem 3.18 |
setup 2.15.0 |
basesystem 11 |
tzdata 2026a | tzdata-java
ca-certificates 2026.2.80 |
kernel-headers 6.18.0 |
glibc 2.42 | glibc-common glibc-minimal-langpack glibc-devel glibc-static glibc-gconv-extra nscd glibc-locale-source
gcc 15.2.1 | cpp libgcc libstdc++ libstdc++-devel gcc-c++ gcc-gfortran libgfortran libgomp libatomic gcc-plugin-devel
binutils 2.45 | binutils-devel binutils-gold
ncurses 6.5 | ncurses-base ncurses-libs ncurses-devel ncurses-term
readline 8.3 | readline-devel
bash 5.3.0 | bash-doc bash-devel
gmp 6.3.0 | gmp-c++ gmp-devel
libsepol 3.9 | libsepol-devel
pcre2 10.46 | pcre2-utf16 pcre2-syntax pcre2-devel
libselinux 3.9 | libselinux-utils libselinux-devel
attr 2.5.2 | libattr libattr-devel
acl 2.3.2 | libacl libacl-devel
coreutils 9.8 | coreutils-common coreutils-single
sed 4.9 |
grep 3.12 |
gawk 5.3.2 | gawk-all-langpacks
findutils 4.10.0 |
diffutils 3.12 |
patch 2.8 |
which 2.23 |
zlib-ng 2.2.5 | zlib-ng-compat zlib-ng-compat-devel zlib-ng-devel
bzip2 1.0.8 | bzip2-libs bzip2-devel
xz 5.8.1 | xz-libs xz-devel xz-lzma-compat
zstd 1.5.7 | libzstd libzstd-devel
gzip 1.14 |
tar 1.35 |
cpio 2.15 |
unzip 6.0 |
texinfo 7.2 | info texinfo-tex
util-linux 2.41.2 | libuuid libblkid libmount libfdisk libuuid-devel libblkid-devel libmount-devel util-linux-core
make 4.4.1 | make-devel
openssl 3.5.4 | openssl-libs openssl-devel openssl-perl
popt 1.19 | popt-devel
lua 5.4.8 | lua-libs lua-devel
elfutils 0.194 | elfutils-libelf elfutils-libs elfutils-devel elfutils-libelf-devel elfutils-debuginfod
perl 5.42.0 | perl-interpreter perl-libs perl-devel perl-macros perl-Test-Simple perl-ExtUtils-MakeMaker
python3.14 3.14.2 | python3 python3-libs python3-devel python3-test python-unversioned-command
rpm 6.0.0 | rpm-libs rpm-build rpm-build-libs rpm-devel python3-rpm
redhat-rpm-config 343 | kernel-srpm-macros annobin-plugin-gcc-macros
"""

# name version; all are programs that other packages are built with.
TOOLS = """
m4 1.4.20
bison 3.8.2
flex 2.6.4
autoconf 2.72
automake 1.18.1
libtool 2.5.4
gettext 0.26
pkgconf 2.5.1
cmake 4.1.2
ninja-build 1.13.1
meson 1.9.1
help2man 1.49.3
swig 4.4.0
doxygen 1.14.0
nasm 2.16.03
gperf 3.2.1
vala 0.56.18
rust 1.91.0
cargo-rpm-macros 26.4
ocaml 5.3.0
ocaml-dune 3.20.2
R-core 4.5.2
desktop-file-utils 0.28
git 2.52.0
"""

# name version soname; a library with -devel and a pkgconfig file.
LIBRARIES = """
libffi 3.5.2 8
expat 2.7.3 1
libxml2 2.14.6 16
libxslt 1.1.43 1
sqlite 3.50.4 0
libuv 1.51.0 1
libevent 2.1.12 7
nettle 3.10.1 8
libtasn1 4.20.0 6
p11-kit 0.25.8 0
gnutls 3.8.10 30
brotli 1.1.0 1
nghttp2 1.67.1 14
libpsl 0.21.5 5
libssh2 1.11.1 1
libssh 0.11.3 4
curl 8.16.0 4
jansson 2.14 4
json-c 0.18 5
yajl 2.1.0 2
oniguruma 6.9.10 5
libyaml 0.2.5 2
libarchive 3.8.1 13
libpng 1.6.50 16
libjpeg-turbo 3.1.2 62
libtiff 4.7.1 6
libwebp 1.6.0 7
giflib 5.2.2 7
lcms2 2.16 2
openjpeg 2.5.4 7
freetype 2.13.3 6
harfbuzz 11.5.1 0
fontconfig 2.17.0 1
pixman 0.46.2 0
cairo 1.18.4 2
fribidi 1.0.16 0
pango 1.57.0 0
glib2 2.86.1 0
gobject-introspection 1.84.0 1
json-glib 1.10.8 0
libgpg-error 1.55 0
libgcrypt 1.11.1 20
libassuan 2.5.7 9
libksba 1.6.7 8
libsodium 1.0.20 26
lz4 1.10.0 1
snappy 1.2.2 1
leveldb 1.23 1
lmdb 0.9.33 0
gdbm 1.23 6
libdb 5.3.28 5
unixODBC 2.3.12 2
mariadb-connector-c 3.4.7 3
libpq 18.0 5
zeromq 4.3.5 5
czmq 4.2.1 4
protobuf 3.19.6 30
protobuf-c 1.5.2 1
re2 2025.11 11
fmt 12.0.0 12
spdlog 1.16.0 1
catch 3.11.0 3
gtest 1.17.0 1
boost 1.88.0 1
tinyxml2 11.0.0 11
pugixml 1.15 1
yaml-cpp 0.8.0 0
http-parser 2.9.4 2
libgit2 1.8.4 1
gtk4 4.20.2 1
qt6-qtbase 6.10.0 6
"""

# Distribution name and version; perl(Name::Of::It) follows from the name.
PERL = """
perl-Exporter-Tiny 1.006003
perl-Try-Tiny 0.32
perl-Sub-Quote 2.006009
perl-Class-Method-Modifiers 2.15
perl-Role-Tiny 2.002004
perl-Moo 2.005005
perl-Type-Tiny 2.008003
perl-Data-OptList 0.114
perl-Params-Util 1.102
perl-Sub-Install 0.929
perl-Sub-Exporter 0.991
perl-Package-Stash 0.40
perl-Class-Load 0.25
perl-Moose 2.4000
perl-Test-Deep 1.205
perl-Test-Differences 0.72
perl-Test-Exception 0.43
perl-Test-Fatal 0.018
perl-Test-Taint 1.08
perl-Test-Warn 0.37
perl-URI 5.34
perl-HTML-Tagset 3.24
perl-HTML-Parser 3.83
perl-HTTP-Date 6.06
perl-HTTP-Message 7.01
perl-LWP-MediaTypes 6.04
perl-libwww-perl 6.81
perl-Net-SSLeay 1.94
perl-IO-Socket-SSL 2.095
perl-JSON-XS 4.04
perl-YAML-LibYAML 0.904.0
perl-DateTime-Locale 1.45
perl-DateTime 1.66
perl-DBI 1.647
perl-DBD-SQLite 1.76
perl-XML-Parser 2.47
perl-Template-Toolkit 3.102
"""

PYTHON = """
python-flit-core 3.12.0
python-setuptools 80.9.0
python-packaging 25.0
python-wheel 0.45.1
python-hatchling 1.27.0
python-pip 25.3
python-iniconfig 2.3.0
python-pluggy 1.6.0
python-pytest 8.4.2
python-nose 1.3.7
python-six 1.17.0
python-typing-extensions 4.15.0
python-attrs 25.4.0
python-certifi 2026.1.4
python-idna 3.11
python-charset-normalizer 3.4.4
python-urllib3 2.5.0
python-requests 2.32.5
python-markupsafe 3.0.3
python-jinja2 3.1.6
python-click 8.3.0
python-werkzeug 3.1.3
python-itsdangerous 2.2.0
python-flask 3.1.2
python-pyyaml 6.0.3
python-lxml 6.0.2
python-cffi 2.0.0
python-cryptography 46.0.3
python-numpy 2.3.4
python-pillow 12.0.0
python-babel 2.17.0
python-docutils 0.22.2
python-pygments 2.19.2
python-sphinx 8.2.3
python-sqlalchemy 2.0.44
python-psycopg2 2.9.11
python-redis 7.0.1
python-dateutil 2.9.0
python-geopy 2.4.1
python-texttable 1.7.0
python-editdistance 0.8.1
python-gabbi 4.1.0
python-jsmin 3.0.1
python-ldappool 3.0.0
python-pygit2 1.17.0
"""

OCAML = """
ocaml-findlib 1.9.8
ocaml-csexp 1.5.2
ocaml-result 1.5
ocaml-seq 0.3.1
ocaml-re 1.13.3
ocaml-ocplib-endian 1.2
ocaml-lwt 5.9.2
ocaml-ounit 2.2.7
ocaml-zarith 1.14
ocaml-stdlib-random 1.2.0
ocaml-extlib 1.8.0
"""

# crate and version; its features are subpackages.
RUST = """
cfg-if 1.0.4 std
libc 0.2.177 std extra_traits
bitflags 2.10.0 std serde
memchr 2.7.6 std alloc
log 0.4.28 std
once_cell 1.21.3 std alloc
unicode-ident 1.0.22
proc-macro2 1.0.103 proc-macro
quote 1.0.42 proc-macro
syn 2.0.109 full parsing printing
serde_derive 1.0.228
serde 1.0.228 std derive alloc
itoa 1.0.15
ryu 1.0.20
serde_json 1.0.145 std preserve_order
regex-syntax 0.8.8 unicode
regex-automata 0.4.13 std perf
regex 1.12.2 std unicode perf
anyhow 1.0.100 std
thiserror 2.0.17 std
clap_lex 0.7.6
clap_builder 4.5.51 std color help
clap 4.5.51 std derive
rand_core 0.9.3 std
rand 0.9.2 std
git2 0.20.2 vendored
tokio 1.48.0 full rt net
"""

# name version; programs that nothing else needs, with random libraries below them.
APPLICATIONS = """
jq 1.8.1
tmux 3.5a
htop 3.4.1
ripgrep 15.1.0
nano 8.6
vim 9.1.1900
less 685
tree 2.2.1
wget2 2.2.0
rsync 3.4.1
nginx 1.28.0
lighttpd 1.4.82
haproxy 3.2.7
redis-plus 8.2.2
memcached 1.6.39
imagemagick 7.1.2
graphviz 14.0.2
gnuplot 6.0.3
inkscape 1.4.2
gimp 3.0.6
mpv 0.40.0
vlc-core 3.0.21
ghostscript 10.06.0
texlive-base 2025
libreoffice-core 25.8.2
evince 48.1
gedit 49.0
nmap 7.98
wireshark 4.6.0
strace 6.17
gdb 17.1
valgrind 3.25.1
coq 9.1.0
"""

# What is built against libgit2, the library of the story.
GIT_APPLICATIONS = """
libgit2-glib 1.2.1
gitg 44
geany-plugins 2.1
git-evtag 2022.1
fritzing 1.0.5
R-git2r 0.36.2
R-gert 2.1.5
kup 0.10.0
bat 0.26.0
eza 0.23.4
"""


# What every buildroot starts with.
BUILD_GROUP_TABLE = """
bash bzip2 coreutils cpio diffutils findutils gawk glibc-minimal-langpack grep gzip info patch redhat-rpm-config
rpm-build sample-release sed tar unzip util-linux which xz
"""
LANGUAGES_TABLE = "cs da de el en es fi fr hi hu it ja ko nl pl pt ru sv uk zh"


def lines(table: str) -> list[list[str]]:
    """A table's lines as words."""
    return [line.split() for line in table.strip().splitlines()]


BUILD_GROUP = tuple(word for line in lines(BUILD_GROUP_TABLE) for word in line)
LANGUAGES = tuple(word for line in lines(LANGUAGES_TABLE) for word in line)

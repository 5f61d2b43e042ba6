#!/bin/sh
# Usage: sh verify.sh
# Checks the unpacked bytes of the four files against CHECKSUMS, and against the MD5 sums that upstream publishes for its
# gzip files. Debian kept the deflate streams but changed the gzip header (no name, another time), so replacing it by
# upstream's 10-byte header and name must give upstream's file.
set -eu
cd "$(dirname "$0")"
failed=0
while read -r want name; do
    case "$want" in "#"*) continue ;; esac
    got=$(gzip -dc "$name.gz" | sha256sum | cut -d' ' -f1)
    if [ "$got" = "$want" ]; then echo "ok      $name  sha256 of the unpacked bytes"; else echo "FAILED  $name  sha256 $got, expected $want"; failed=1; fi
done <CHECKSUMS
upstream() { # name, modification time in upstream's gzip header as four octal bytes, upstream's MD5 (its README)
    got=$({ printf '\037\213\010\010'"$2"'\000\003'"$1"'\000'; tail -c +11 "$1.gz"; } | md5sum | cut -d' ' -f1)
    if [ "$got" = "$3" ]; then echo "ok      $1  MD5 of upstream's own file"; else echo "FAILED  $1  MD5 $got, expected $3"; failed=1; fi
}
upstream train-images-idx3-ubyte '\336\351\247\131' 8d4fb7e6c68d591d4c3dfef9ec88bf0d
upstream train-labels-idx1-ubyte '\336\351\247\131' 25c81989df183df01b3e8a0aad5dffbe
upstream t10k-images-idx3-ubyte '\363\351\247\131' bef4ecab320f06d8554ea6380940ec79
upstream t10k-labels-idx1-ubyte '\363\351\247\131' bb300cfdad3c16e7a12a480ee83cd310
exit "$failed"

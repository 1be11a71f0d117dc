#!/usr/bin/env bash
# Makes the certificates beside this file anew: of no use to anybody but the tests. Needs OpenSSL 3.
#   authority.pem  who signs, trusted where a test says so     local.pem    for this machine
#   other.pem      for another name                            expired.pem  for this machine, long ago
#   self.pem       for this machine, signed by itself
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
this_machine="IP:127.0.0.1,DNS:localhost"
touch index.txt
printf '%s\n' '[ca]' 'default_ca=d' '[d]' 'database=index.txt' 'new_certs_dir=.' 'rand_serial=yes' \
    'default_md=sha256' 'unique_subject=no' 'policy=p' '[p]' 'commonName=supplied' > ca.cnf

sign() {  # name, whom it is for, first and last day
    openssl req "${new_key[@]}" -keyout "$1.key" -subj "/CN=pendosync test" -out "$1.csr" 2> /dev/null
    printf '%s\n' "subjectAltName=$2" 'basicConstraints=CA:FALSE' 'keyUsage=digitalSignature' \
        'extendedKeyUsage=serverAuth' 'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' > "$1.ext"
    openssl ca -batch -notext -config ca.cnf -cert authority.pem -keyfile authority.key -in "$1.csr" \
        -extfile "$1.ext" -startdate "$3" -enddate "$4" -out "$1.crt" 2> /dev/null
    cat "$1.key" "$1.crt" > "$here/$1.pem"
}

openssl req -x509 "${new_key[@]}" -keyout authority.key -out authority.pem -days 36500 \
    -subj "/CN=pendosync test authority" -addext keyUsage=critical,keyCertSign 2> /dev/null
cp authority.pem "$here/"
sign local "$this_machine" 20250101000000Z 21250101000000Z
sign other "DNS:pendo.invalid" 20250101000000Z 21250101000000Z
sign expired "$this_machine" 20200101000000Z 20200201000000Z
openssl req -x509 "${new_key[@]}" -keyout self.key -out self.crt -days 36500 -subj "/CN=localhost" \
    -addext "subjectAltName=$this_machine" 2> /dev/null
cat self.key self.crt > "$here/self.pem"

# reel info: what a good file holds, in both spellings; what is wrong with a bad one.
. tests/e2e/lib.sh

# safetensors FILE HEADER DATA_BYTES: eight bytes of length, the header, so many zero bytes.
safetensors() {
    n=$(printf '%s' "$2" | wc -c)
    {
        # shellcheck disable=SC2059  # the octal escapes are the format
        printf "$(printf '\\%03o\\%03o\\000\\000\\000\\000\\000\\000' $((n % 256)) $((n / 256)))"
        printf '%s' "$2"
        head -c "$3" /dev/zero
    } >"$1"
}

good=$work/good.safetensors
safetensors "$good" '{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}}' 26
expect 0 "$REEL" info "$good"
out_has "a.weight  f32   [2,3]  24"
out_has "b         bf16  []  2"
out_has "metadata format = pt"
out_has "2 tensors, 7 elements, 26 bytes, 1 file"
expect 0 "$REEL" info --json "$good"
out_has '"tensors":[{"name":"a.weight","dtype":"f32","shape":[2,3],"bytes":24},{"name":"b","dtype":"bf16","shape":[],"bytes":2}],"elements":7,"bytes":26}'
out_has '"metadata":{"format":"pt"}'

# A set named by its index.
safetensors "$work/m-1.safetensors" '{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}' 4
safetensors "$work/m-2.safetensors" '{"y":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}' 8
printf '%s' '{"metadata":{"total_size":12},"weight_map":{"x":"m-1.safetensors","y":"m-2.safetensors"}}' >"$work/m.safetensors.index.json"
expect 0 "$REEL" info "$work/m.safetensors.index.json"
out_has "2 tensors, 5 elements, 12 bytes, 2 files"

# A name that would talk to the terminal is shown, not obeyed.
safetensors "$work/escape.safetensors" '{"a\u001b[2J":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' 1
expect 0 "$REEL" info "$work/escape.safetensors"
out_has 'a\x1b[2J'

# Failures: exit code 1, nothing on stdout, the file and the reason on stderr.
bad() { # FILE REASON
    expect 1 "$REEL" info "$1"
    no_out
    err_has "reel info: "
    err_has "$2"
}
bad "$work/missing.safetensors" "missing.safetensors"
bad "$work" "$work"
head -c 20 "$good" >"$work/short.safetensors"
bad "$work/short.safetensors" "short.safetensors"
safetensors "$work/hole.safetensors" '{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}' 2
bad "$work/hole.safetensors" "hole.safetensors"
safetensors "$work/twice.safetensors" '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' 1
bad "$work/twice.safetensors" "twice.safetensors"
rm "$work/m-2.safetensors"
bad "$work/m.safetensors.index.json" "m-2.safetensors"

expect 2 "$REEL" info
err_has "wanted MODEL|FILE"
expect 2 "$REEL" info a b
err_has "'b'"
expect 2 "$REEL" info --jsno a
err_has "--jsno: no such option"
finish

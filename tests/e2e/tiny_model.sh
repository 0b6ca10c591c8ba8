# Sourced by tests that generate: makes $work/model, a complete tiny model with random weights and a
# vocabulary of its own. Skips the test where sentencepiece's trainer is missing.
if ! command -v spm_train >/dev/null 2>&1; then
    echo "SKIP: spm_train is not installed"
    exit 77
fi
i=0
while [ $i -lt 300 ]; do
    echo "a red ball number $i rolls over green grass, the camera follows it slowly to the left"
    echo "two blue boats on a calm sea at night, $i stars above, waves in the moonlight"
    i=$((i + 1))
done >"$work/corpus"
spm_train --input="$work/corpus" --model_prefix="$work/spiece" --vocab_size=340 --hard_vocab_limit=false --pad_id=0 \
    --eos_id=1 --unk_id=2 --bos_id=-1 --byte_fallback --model_type=unigram >"$work/spm.log" 2>&1 || {
    tail -n 3 "$work/spm.log" >&2
    exit 1
}
"$REEL" init --like "${TINY:-wan-tiny}" --dtype "${DTYPE:-f32}" --tokenizer "$work/spiece.model" \
    "$work/model" >"$work/init.log" 2>&1 || {
    cat "$work/init.log" >&2
    exit 1
}
# place FILE TENSOR: where its bytes begin, and how many there are.
place() {
    head_bytes=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    head -c $((8 + head_bytes)) "$1" | tail -c +9 | grep -ao "\"$2\":{[^}]*}" |
        sed "s/.*data_offsets\":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/" |
        awk -v head="$head_bytes" '{print 8 + head + $1, $2 - $1}'
}
# awake FILE: a transformer that was never trained ends in zeros and leaves the noise as it is; one
# whose last layer gets the numbers of another can be told from others.
awake() {
    set -- "$1" $(place "$1" proj_out.weight) $(place "$1" blocks.0.attn1.to_q.weight)
    [ $# -eq 5 ] && [ "$3" -le "$5" ] || { echo "cannot wake $1: $*" >&2; exit 1; }
    tail -c +$(($4 + 1)) "$1" | head -c "$3" >"$work/last"
    dd if="$work/last" of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for part in transformer transformer_2; do
    [ ! -d "$work/model/$part" ] || awake "$work/model/$part/diffusion_pytorch_model.safetensors"
done
# Small pictures, few steps: what a folder may say of itself.
sed -i 's/^{/{"_reel": {"width": 64, "height": 48, "frames": 9, "fps": 8, "steps": 3, "cfg_scale": 3},/' \
    "$work/model/model_index.json"
generate() { "$REEL" generate --model "$work/model" -p "a red ball" -s 7 -q "$@"; }

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
# Small pictures, few steps: what a folder may say of itself.
sed -i 's/^{/{"_reel": {"width": 64, "height": 48, "frames": 9, "fps": 8, "steps": 3, "cfg_scale": 3},/' \
    "$work/model/model_index.json"
generate() { "$REEL" generate --model "$work/model" -p "a red ball" -s 7 -q "$@"; }

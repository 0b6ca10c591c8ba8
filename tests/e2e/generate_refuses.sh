# What reel generate does not do: nonsense values, hostile folders, full disks, too little memory.
. tests/e2e/lib.sh
. tests/e2e/tiny_model.sh

# ---- nonsense is a usage error that names the flag and what it takes ----
for flag in seed steps cfg-scale cfg-rescale cfg-from cfg-to flow-shift width height size frames \
    seconds fps threads max-memory sampler type isa; do
    for value in -1 1e308 NaN text 9223372036854775808 ""; do
        expect 2 generate "--$flag=$value" -o "$work/n.mp4"
        err_has "--$flag: got"
        err_has "wanted"
        no_out
    done
done
for flag in steps flow-shift width height size frames seconds fps threads max-memory; do
    expect 2 generate "--$flag=0" -o "$work/n.mp4"
    err_has "--$flag: got '0', wanted"
    err_has " to "
done
expect 2 "$REEL" generate --model "$work/model"
err_has "no prompt"
expect 2 generate --prompt-file x
err_has "one of them"
expect 2 generate --frames 5 --seconds 1
expect 2 generate --size 64x48 -W 64
expect 2 generate -Z
err_has "-Z: no such option"
expect 2 generate stray
err_has "PROMPT and --prompt"
expect 2 "$REEL" generate "a red ball" stray --model "$work/model"
err_has "'stray'"
expect 2 "$REEL" generate "" --model "$work/model"
err_has "PROMPT: got nothing"
expect 2 "$REEL" generate "a red ball" --prompt-file x --model "$work/model"
err_has "one of them"
expect 1 "$REEL" generate --prompt-file "$work/none" --model "$work/model"
err_has "$work/none"
expect 1 generate -o "$work/x.txt"
err_has "x.txt"
expect 1 generate -o "$work/no/folder/x.mp4"
err_has "no/folder"
expect 1 env -u REEL_MODEL HOME="$work" sh -c "cd '$work' && cp '$REEL' reel && ./reel generate -p x"
err_has "--model"
expect 1 "$REEL" generate -p x --model No/Such-Model
err_has "No/Such-Model"

# ---- folders that lie ----
# broken NAME COMMAND: a copy of the model, changed by a command run within it, must be refused.
broken() {
    rm -rf "$work/bad"
    cp -r "$work/model" "$work/bad"
    (cd "$work/bad" && eval "$2") || complain "could not break the model: $1"
    expect 1 "$REEL" generate --model "$work/bad" -p x -q -o "$work/bad.mp4"
    err_has "$3"
    [ ! -e "$work/bad.mp4" ] || complain "$1: a file was written"
    [ -z "$(ls "$work" | grep 'bad.mp4')" ] || complain "$1: left something behind"
}
broken "no index" 'rm model_index.json' "$work/bad"
broken "text for an index" 'echo hello >model_index.json' "model_index.json"
broken "a cut file" 'f=$(ls transformer/*.safetensors); head -c 2000 "$f" >x; mv x "$f"' "transformer"
broken "an empty file" ': >vae/diffusion_pytorch_model.safetensors' "vae"
broken "another width" 'sed -i "s/\"ffn_dim\": *56/\"ffn_dim\":64/" transformer/config.json' "transformer"
# damaged PART FILE TENSOR SAYS: some of a tensor's bytes become NaN, which no header tells
damaged() {
    rm -rf "$work/bad"
    cp -r "$work/model" "$work/bad"
    says=$4
    set -- "$work/bad/$1/$2" $(place "$work/bad/$1/$2" "$3")
    head -c 64 /dev/zero | tr '\0' '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
    expect 1 "$REEL" generate "x" --model "$work/bad" -q -o "$work/bad.mp4"
    err_has "$says"
    [ ! -e "$work/bad.mp4" ] || complain "$says: a file was written"
    rm -f "$work/bad.mp4.reel-state" # what was right so far is kept for the next try
}
damaged transformer diffusion_pytorch_model.safetensors \
    blocks.1.ffn.net.2.weight "transformer gives numbers that are not finite"
damaged text_encoder model.safetensors \
    encoder.block.1.layer.1.DenseReluDense.wo.weight "text encoder gives numbers that are not finite"
damaged vae diffusion_pytorch_model.safetensors \
    decoder.conv_in.weight "vae gives pixels that are no numbers"
broken "no tokenizer" 'rm -r tokenizer' "tokenizer"
broken "a tokenizer of zeros" 'head -c 5000 /dev/zero >tokenizer/spiece.model' "spiece.model"
broken "parts that do not fit" 'sed -i "s/\"z_dim\": *4/\"z_dim\":5/" vae/config.json' "vae"
broken "nonsense defaults" 'sed -i "s/\"steps\": 3/\"steps\": -3/" model_index.json' "_reel.steps"
broken "unknown defaults" 'sed -i "s/\"steps\": 3/\"stepps\": 3/" model_index.json' "stepps"

# ---- no room on the disk: nothing half-written ----
expect 1 sh -c "trap '' XFSZ; ulimit -f 2; exec '$REEL' generate --model '$work/model' -p x -s 1 -q -o '$work/full.mkv'"
err_has "full.mkv"
[ -z "$(ls "$work" | grep 'full.mkv.*tmp')" ] || complain "a full disk left a temporary"
[ ! -e "$work/full.mkv" ] || complain "a full disk left half a file"

# ---- too little memory is told in figures, before any work ----
expect 1 generate --max-memory 64M --size 1024x1024 --frames 81 -o "$work/m.mkv"
err_has "MiB are allowed"
[ ! -e "$work/m.mkv.reel-state" ] || complain "a refused run left a state"

# ---- a state that is none is not overwritten ----
echo "precious notes" >"$work/k.mkv.reel-state"
expect 1 generate -o "$work/k.mkv"
err_has "k.mkv.reel-state"
grep -q precious "$work/k.mkv.reel-state" || complain "somebody's file was overwritten"
finish

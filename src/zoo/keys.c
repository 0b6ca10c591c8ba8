#include "zoo/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One renaming. In `from`, # stands for a number; a row matches a name that is equal up to the end
 * of `from`, and what follows is kept. In `to`, each # is the next number; @ and % together are one
 * number of a list that runs over the autoencoder's levels: the level, and the place in it. */
typedef struct key_rule {
    const char *from, *to;
} key_rule;

/* Note norm2 and norm3, which change places. */
static const key_rule wan_dit[] = {
    {"text_embedding.0.", "condition_embedder.text_embedder.linear_1."},
    {"text_embedding.2.", "condition_embedder.text_embedder.linear_2."},
    {"time_embedding.0.", "condition_embedder.time_embedder.linear_1."},
    {"time_embedding.2.", "condition_embedder.time_embedder.linear_2."},
    {"time_projection.1.", "condition_embedder.time_proj."},
    {"img_emb.proj.0.", "condition_embedder.image_embedder.norm1."},
    {"img_emb.proj.1.", "condition_embedder.image_embedder.ff.net.0.proj."},
    {"img_emb.proj.3.", "condition_embedder.image_embedder.ff.net.2."},
    {"img_emb.proj.4.", "condition_embedder.image_embedder.norm2."},
    {"blocks.#.modulation", "blocks.#.scale_shift_table"},
    {"blocks.#.self_attn.q.", "blocks.#.attn1.to_q."},
    {"blocks.#.self_attn.k.", "blocks.#.attn1.to_k."},
    {"blocks.#.self_attn.v.", "blocks.#.attn1.to_v."},
    {"blocks.#.self_attn.o.", "blocks.#.attn1.to_out.0."},
    {"blocks.#.self_attn.norm_", "blocks.#.attn1.norm_"},
    {"blocks.#.norm3.", "blocks.#.norm2."},
    {"blocks.#.cross_attn.q.", "blocks.#.attn2.to_q."},
    {"blocks.#.cross_attn.k.", "blocks.#.attn2.to_k."},
    {"blocks.#.cross_attn.v.", "blocks.#.attn2.to_v."},
    {"blocks.#.cross_attn.o.", "blocks.#.attn2.to_out.0."},
    {"blocks.#.cross_attn.k_img.", "blocks.#.attn2.add_k_proj."},
    {"blocks.#.cross_attn.v_img.", "blocks.#.attn2.add_v_proj."},
    {"blocks.#.cross_attn.norm_k_img.", "blocks.#.attn2.norm_added_k."},
    {"blocks.#.cross_attn.norm_", "blocks.#.attn2.norm_"},
    {"blocks.#.ffn.0.", "blocks.#.ffn.net.0.proj."},
    {"blocks.#.ffn.2.", "blocks.#.ffn.net.2."},
    {"head.modulation", "scale_shift_table"},
    {"head.head.", "proj_out."},
    {NULL, NULL},
};

static const key_rule t5[] = {
    {"token_embedding.", "shared."},
    {"pos_embedding.embedding.", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias."},
    {"blocks.#.norm1.", "encoder.block.#.layer.0.layer_norm."},
    {"blocks.#.attn.", "encoder.block.#.layer.0.SelfAttention."},
    {"blocks.#.pos_embedding.embedding.",
     "encoder.block.#.layer.0.SelfAttention.relative_attention_bias."},
    {"blocks.#.norm2.", "encoder.block.#.layer.1.layer_norm."},
    {"blocks.#.ffn.gate.0.", "encoder.block.#.layer.1.DenseReluDense.wi_0."},
    {"blocks.#.ffn.fc1.", "encoder.block.#.layer.1.DenseReluDense.wi_1."},
    {"blocks.#.ffn.fc2.", "encoder.block.#.layer.1.DenseReluDense.wo."},
    {"norm.", "encoder.final_layer_norm."},
    {NULL, NULL},
};

/* The decoder's list has num_res_blocks + 1 residual blocks and one upsampling in each level. */
static const key_rule wan_vae[] = {
    {"conv1.", "quant_conv."},
    {"conv2.", "post_quant_conv."},
    {"encoder.conv1.", "encoder.conv_in."},
    {"encoder.downsamples.#.residual.0.", "encoder.down_blocks.#.norm1."},
    {"encoder.downsamples.#.residual.2.", "encoder.down_blocks.#.conv1."},
    {"encoder.downsamples.#.residual.3.", "encoder.down_blocks.#.norm2."},
    {"encoder.downsamples.#.residual.6.", "encoder.down_blocks.#.conv2."},
    {"encoder.downsamples.#.shortcut.", "encoder.down_blocks.#.conv_shortcut."},
    {"encoder.downsamples.#.resample.", "encoder.down_blocks.#.resample."},
    {"encoder.downsamples.#.time_conv.", "encoder.down_blocks.#.time_conv."},
    {"encoder.middle.1.", "encoder.mid_block.attentions.0."},
    {"encoder.head.0.", "encoder.norm_out."},
    {"encoder.head.2.", "encoder.conv_out."},
    {"decoder.conv1.", "decoder.conv_in."},
    {"decoder.middle.1.", "decoder.mid_block.attentions.0."},
    {"decoder.upsamples.#.residual.0.", "decoder.up_blocks.@.resnets.%.norm1."},
    {"decoder.upsamples.#.residual.2.", "decoder.up_blocks.@.resnets.%.conv1."},
    {"decoder.upsamples.#.residual.3.", "decoder.up_blocks.@.resnets.%.norm2."},
    {"decoder.upsamples.#.residual.6.", "decoder.up_blocks.@.resnets.%.conv2."},
    {"decoder.upsamples.#.shortcut.", "decoder.up_blocks.@.resnets.%.conv_shortcut."},
    {"decoder.upsamples.#.resample.", "decoder.up_blocks.@.upsamplers.0.resample."},
    {"decoder.upsamples.#.time_conv.", "decoder.up_blocks.@.upsamplers.0.time_conv."},
    {"decoder.head.0.", "decoder.norm_out."},
    {"decoder.head.2.", "decoder.conv_out."},
    /* Wan 2.2's: each level has a list of its own, the last of which changes the size */
    {"encoder.downsamples.#.downsamples.#.residual.0.", "encoder.down_blocks.#.resnets.#.norm1."},
    {"encoder.downsamples.#.downsamples.#.residual.2.", "encoder.down_blocks.#.resnets.#.conv1."},
    {"encoder.downsamples.#.downsamples.#.residual.3.", "encoder.down_blocks.#.resnets.#.norm2."},
    {"encoder.downsamples.#.downsamples.#.residual.6.", "encoder.down_blocks.#.resnets.#.conv2."},
    {"encoder.downsamples.#.downsamples.#.shortcut.",
     "encoder.down_blocks.#.resnets.#.conv_shortcut."},
    {"encoder.downsamples.#.downsamples.#.resample.",
     "encoder.down_blocks.#.downsampler.resample."},
    {"encoder.downsamples.#.downsamples.#.time_conv.",
     "encoder.down_blocks.#.downsampler.time_conv."},
    {"decoder.upsamples.#.upsamples.#.residual.0.", "decoder.up_blocks.#.resnets.#.norm1."},
    {"decoder.upsamples.#.upsamples.#.residual.2.", "decoder.up_blocks.#.resnets.#.conv1."},
    {"decoder.upsamples.#.upsamples.#.residual.3.", "decoder.up_blocks.#.resnets.#.norm2."},
    {"decoder.upsamples.#.upsamples.#.residual.6.", "decoder.up_blocks.#.resnets.#.conv2."},
    {"decoder.upsamples.#.upsamples.#.shortcut.", "decoder.up_blocks.#.resnets.#.conv_shortcut."},
    {"decoder.upsamples.#.upsamples.#.resample.", "decoder.up_blocks.#.upsampler.resample."},
    {"decoder.upsamples.#.upsamples.#.time_conv.", "decoder.up_blocks.#.upsampler.time_conv."},
    /* the two residual blocks around the attention in the middle are numbered 0 and 2, then 0 and 1
     */
    {"encoder.middle.0.residual.0.", "encoder.mid_block.resnets.0.norm1."},
    {"encoder.middle.0.residual.2.", "encoder.mid_block.resnets.0.conv1."},
    {"encoder.middle.0.residual.3.", "encoder.mid_block.resnets.0.norm2."},
    {"encoder.middle.0.residual.6.", "encoder.mid_block.resnets.0.conv2."},
    {"encoder.middle.2.residual.0.", "encoder.mid_block.resnets.1.norm1."},
    {"encoder.middle.2.residual.2.", "encoder.mid_block.resnets.1.conv1."},
    {"encoder.middle.2.residual.3.", "encoder.mid_block.resnets.1.norm2."},
    {"encoder.middle.2.residual.6.", "encoder.mid_block.resnets.1.conv2."},
    {"decoder.middle.0.residual.0.", "decoder.mid_block.resnets.0.norm1."},
    {"decoder.middle.0.residual.2.", "decoder.mid_block.resnets.0.conv1."},
    {"decoder.middle.0.residual.3.", "decoder.mid_block.resnets.0.norm2."},
    {"decoder.middle.0.residual.6.", "decoder.mid_block.resnets.0.conv2."},
    {"decoder.middle.2.residual.0.", "decoder.mid_block.resnets.1.norm1."},
    {"decoder.middle.2.residual.2.", "decoder.mid_block.resnets.1.conv1."},
    {"decoder.middle.2.residual.3.", "decoder.mid_block.resnets.1.norm2."},
    {"decoder.middle.2.residual.6.", "decoder.mid_block.resnets.1.conv2."},
    {NULL, NULL},
};

/* The vision half of OpenCLIP, as Wan's own code names it. */
static const key_rule clip[] = {
    {"visual.cls_embedding", "vision_model.embeddings.class_embedding"},
    {"visual.pos_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"visual.patch_embedding.", "vision_model.embeddings.patch_embedding."},
    {"visual.pre_norm.", "vision_model.pre_layrnorm."},
    {"visual.post_norm.", "vision_model.post_layernorm."},
    {"visual.transformer.#.norm1.", "vision_model.encoder.layers.#.layer_norm1."},
    {"visual.transformer.#.norm2.", "vision_model.encoder.layers.#.layer_norm2."},
    {"visual.transformer.#.attn.to_qkv.", "vision_model.encoder.layers.#.self_attn.to_qkv."},
    {"visual.transformer.#.attn.proj.", "vision_model.encoder.layers.#.self_attn.out_proj."},
    {"visual.transformer.#.mlp.0.", "vision_model.encoder.layers.#.mlp.fc1."},
    {"visual.transformer.#.mlp.2.", "vision_model.encoder.layers.#.mlp.fc2."},
    {NULL, NULL},
};

static const key_rule *const table[REEL_COMPONENT_COUNT] = {
    [REEL_COMPONENT_TRANSFORMER] = wan_dit, [REEL_COMPONENT_TRANSFORMER_2] = wan_dit,
    [REEL_COMPONENT_IMAGE_ENCODER] = clip,  [REEL_COMPONENT_VAE] = wan_vae,
    [REEL_COMPONENT_TEXT_ENCODER] = t5,
};

enum { MAX_NUMBERS = 4 };

/* The numbers a name has where its rule has #, as pieces of the name. */
typedef struct numbers {
    const char *at[MAX_NUMBERS];
    int n;
} numbers;

/* What of name is behind the part the rule matches; NULL when it does not match. */
static const char *match(const char *from, const char *name, numbers *found) {
    found->n = 0;
    for (; *from; from++) {
        if (*from != '#') {
            if (*name++ != *from) return NULL;
            continue;
        }
        const size_t digits = strspn(name, "0123456789");
        if (digits == 0 || digits > 9) return NULL;
        found->at[found->n++] = name;
        name += digits;
    }
    return name;
}

/* False when the new name does not fit: then no parameter has it either. level: entries of the
 * list that one level has. */
static bool translate(const key_rule *rule, const numbers *found, const char *rest, int level,
                      char text[REEL_KEY_BYTES]) {
    size_t n = 0;
    int next = 0;
    for (const char *to = rule->to; *to && n < REEL_KEY_BYTES - 16; to++) {
        const int number = strchr("#@%", *to) ? atoi(found->at[next]) : 0;
        if (*to == '#') {
            n += (size_t)snprintf(text + n, 16, "%d", number);
            next++;
        } else if (*to == '@') {
            n += (size_t)snprintf(text + n, 16, "%d", number / level);
        } else if (*to == '%') {
            n += (size_t)snprintf(text + n, 16, "%d", number % level);
        } else {
            text[n++] = *to;
        }
    }
    if (n + strlen(rest) + 1 > REEL_KEY_BYTES) return false;
    memcpy(text + n, rest, strlen(rest) + 1);
    return true;
}

const char *reel_key_canonical(const reel_component_config *config, const char *name,
                               char text[REEL_KEY_BYTES]) {
    const int level = config->kind == REEL_COMPONENT_VAE ? (int)config->vae.num_res_blocks + 2 : 1;
    for (const key_rule *rule = table[config->kind]; rule->from; rule++) {
        numbers found;
        const char *rest = match(rule->from, name, &found);
        if (rest && translate(rule, &found, rest, level, text)) return text;
    }
    return name;
}

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

bool reel_key_ignored(const reel_component_config *config, const char *name) {
    if (config->kind == REEL_COMPONENT_TEXT_ENCODER)
        return strcmp(name, "encoder.embed_tokens.weight") == 0;
    if (config->kind == REEL_COMPONENT_IMAGE_ENCODER) /* CLIP's other half, and its tables */
        return strncmp(name, "textual.", 8) == 0 || strcmp(name, "log_scale") == 0 ||
               strcmp(name, "visual.head") == 0 || ends_with(name, ".position_ids");
    return ends_with(name,
                     ".attn2.norm_added_q.weight"); /* some conversions to diffusers have it */
}

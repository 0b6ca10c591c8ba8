#include "zoo/keys.h"

#include <stdio.h>
#include <string.h>

/* One renaming. In `from`, # stands for a number; a row matches a name that is equal up to the end
 * of `from`, and what follows is kept. In `to`, each # is the next number. */
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

static const key_rule *const table[REEL_COMPONENT_COUNT] = {
    [REEL_COMPONENT_TRANSFORMER] = wan_dit,
    [REEL_COMPONENT_TEXT_ENCODER] = t5,
};

enum { MAX_NUMBERS = 4 };

/* The numbers a name has where its rule has #, as pieces of the name. */
typedef struct numbers {
    const char *at[MAX_NUMBERS];
    int length[MAX_NUMBERS];
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
        found->at[found->n] = name;
        found->length[found->n++] = (int)digits;
        name += digits;
    }
    return name;
}

/* False when the new name does not fit: then no parameter has it either. */
static bool translate(const key_rule *rule, const numbers *found, const char *rest,
                      char text[REEL_KEY_BYTES]) {
    size_t n = 0;
    int next = 0;
    for (const char *to = rule->to; *to && n < REEL_KEY_BYTES; to++) {
        if (*to == '#') {
            n += (size_t)snprintf(text + n, REEL_KEY_BYTES - n, "%.*s", found->length[next],
                                  found->at[next]);
            next++;
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
    for (const key_rule *rule = table[config->kind]; rule->from; rule++) {
        numbers found;
        const char *rest = match(rule->from, name, &found);
        if (rest && translate(rule, &found, rest, text)) return text;
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
    return ends_with(name,
                     ".attn2.norm_added_q.weight"); /* some conversions to diffusers have it */
}

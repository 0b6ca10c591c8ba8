#include "text/spm_check.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

static const char tag_text[] = "text";

/* As in sentencepiece: kMaxTrieResultsSize of its normaliser, kResultSize of its prefix matcher. */
enum { MAX_NESTED_RULES = 32, MAX_USER_PIECE_BYTES = 64 };
enum { MAX_MODEL_BYTES = 1 << 28, MAX_PIECE_BYTES = 1 << 16 };
enum { TYPE_UNIGRAM = 1, PIECE_USER_DEFINED = 4 };

typedef struct checking {
    reel_env *env;
    const char *name;
    int64_t n_pieces;
} checking;

/* ---- protocol buffers: fields of a message ---- */

typedef enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } wire;

typedef struct field {
    int64_t number;
    wire type;
    uint64_t value;      /* of WIRE_VARINT; of WIRE_32 the four bytes */
    const uint8_t *data; /* of WIRE_BYTES */
    int64_t bytes;
} field;

typedef struct message {
    const uint8_t *data;
    int64_t bytes;
    int64_t at;
} message;

static message field_message(const field *f) {
    return (message){.data = f->data, .bytes = f->bytes};
}

static bool read_varint(message *m, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 64 && m->at < m->bytes; shift += 7) {
        const uint8_t byte = m->data[m->at++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

static bool read_fixed(message *m, int n, uint64_t *value) {
    if (m->bytes - m->at < n) return false;
    *value = 0;
    for (int i = 0; i < n; i++)
        *value |= (uint64_t)m->data[m->at + i] << (8 * i);
    m->at += n;
    return true;
}

/* Reads the next field. False at a broken one; the end is asked for before. */
static bool read_field(message *m, field *f) {
    uint64_t key = 0;
    *f = (field){0};
    if (!read_varint(m, &key) || key >> 3 == 0 || key >> 32 != 0) return false;
    f->number = (int64_t)(key >> 3);
    f->type = (wire)(key & 7);
    if (f->type == WIRE_VARINT) return read_varint(m, &f->value);
    if (f->type == WIRE_64) return read_fixed(m, 8, &f->value);
    if (f->type == WIRE_32) return read_fixed(m, 4, &f->value);
    uint64_t length = 0;
    if (f->type != WIRE_BYTES || !read_varint(m, &length)) return false;
    if (length > (uint64_t)(m->bytes - m->at)) return false;
    f->data = m->data + m->at;
    f->bytes = (int64_t)length;
    m->at += f->bytes;
    return true;
}

static reel_status fail_broken(const checking *c, const char *where) {
    return reel_fail(c->env, REEL_E_FORMAT, "%s: %s is cut off or is no sentencepiece model",
                     c->name, where);
}

/* ---- pieces ---- */

static reel_status check_piece_text(const checking *c, const field *text, bool user_defined) {
    const int64_t i = c->n_pieces;
    if (text->bytes < 1 || text->bytes > MAX_PIECE_BYTES)
        return reel_fail(c->env, REEL_E_FORMAT, "%s: piece %lld has %lld bytes, wanted 1 to %d",
                         c->name, (long long)i, (long long)text->bytes, MAX_PIECE_BYTES);
    if (user_defined && text->bytes > MAX_USER_PIECE_BYTES)
        return reel_fail(c->env, REEL_E_FORMAT,
                         "%s: user-defined piece %lld has %lld bytes, wanted 1 to %d", c->name,
                         (long long)i, (long long)text->bytes, MAX_USER_PIECE_BYTES);
    if (memchr(text->data, 0, (size_t)text->bytes) ||
        !reel_utf8_sound((const char *)text->data, text->bytes))
        return reel_fail(c->env, REEL_E_FORMAT, "%s: piece %lld is not UTF-8 text", c->name,
                         (long long)i);
    return REEL_OK;
}

/* SentencePiece: 1 piece, 2 score (float), 3 type. */
static reel_status check_piece(checking *c, message m) {
    field text = {0};
    bool user_defined = false;
    float score = 0;
    while (m.at < m.bytes) {
        field f;
        if (!read_field(&m, &f)) return fail_broken(c, "a piece");
        if (f.number == 1 && f.type == WIRE_BYTES) text = f;
        if (f.number == 2 && f.type == WIRE_32) {
            const uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, sizeof score);
        }
        if (f.number == 3 && f.type == WIRE_VARINT && (uint32_t)f.value == PIECE_USER_DEFINED)
            user_defined =
                true; /* whatever comes after: the library skips a kind it does not know */
    }
    if (!isfinite(score))
        return reel_fail(c->env, REEL_E_FORMAT, "%s: the score of piece %lld is not finite",
                         c->name, (long long)c->n_pieces);
    const reel_status status = check_piece_text(c, &text, user_defined);
    c->n_pieces++;
    return status;
}

/* TrainerSpec: 3 model_type. */
static reel_status check_trainer(const checking *c, message m) {
    static const char *const kind[] = {"", "unigram", "BPE", "word", "character"};
    while (m.at < m.bytes) {
        field f;
        if (!read_field(&m, &f)) return fail_broken(c, "the trainer's part");
        if (f.number != 3 || f.type != WIRE_VARINT || f.value == TYPE_UNIGRAM) continue;
        return reel_fail(c->env, REEL_E_UNSUPPORTED, "%s: wanted a unigram model, as T5's, got %s",
                         c->name, f.value < 5 && f.value > 0 ? kind[f.value] : "an unknown kind");
    }
    return REEL_OK;
}

/* ---- the character map: a double array, then the texts its leaves point to ----
 *
 * Aoe 1989 in the form of Darts-clone: unit u of node p has a label (bits 0-7, and 31 for a leaf's
 * value), whether a leaf hangs below (bit 8), and an offset; the child of p under byte b is at
 * p ^ offset(u) ^ b when the label there is b, and the leaf's value at p ^ offset(u). */

typedef struct char_map {
    uint32_t *unit; /* [n] */
    int64_t n;
    int64_t text_bytes;
    uint8_t *leaves;  /* [n] the most leaves on a way down from here, itself included; when done */
    uint8_t *visit;   /* [n] */
    uint32_t *way;    /* [n] the nodes from the root to where the walk is */
    int16_t *at_byte; /* [n] the child to look at next, for each of them */
} char_map;

enum { VISIT_NEVER, VISIT_OPEN, VISIT_DONE };

static uint32_t unit_label(uint32_t unit) {
    return unit & 0x800000ffu;
}
static bool unit_has_leaf(uint32_t unit) {
    return unit >> 8 & 1;
}
static uint32_t unit_offset(uint32_t unit) {
    return unit >> 10 << ((unit & 0x200) >> 6);
}

/* Enters a node: whatever byte comes next, the library reads a unit of its children's block. */
static bool enter(char_map *map, int64_t depth, uint32_t p) {
    const uint32_t unit = map->unit[p];
    const int64_t base = (int64_t)(p ^ unit_offset(unit));
    if ((base | 0xff) >= map->n) return false;
    map->leaves[p] = 0;
    if (unit_has_leaf(unit) && p != 0) {
        if ((map->unit[base] & 0x7fffffffu) >= map->text_bytes) return false;
        map->leaves[p] = 1;
    }
    map->visit[p] = VISIT_OPEN;
    map->way[depth] = p;
    map->at_byte[depth] = 0;
    return true;
}

/* Counts a finished child in; false when that makes more leaves than the library has room for. */
static bool count_child(char_map *map, uint32_t p, uint32_t child) {
    const int own = unit_has_leaf(map->unit[p]) && p != 0;
    const int leaves = map->leaves[child] + own;
    if (leaves > map->leaves[p]) map->leaves[p] = (uint8_t)leaves;
    return leaves <= MAX_NESTED_RULES;
}

/* Walks everything that can be reached, depth first: no way leads outside, to a text that is not
 * there, round in a circle, or past more leaves than the library has room for. */
static bool map_is_sound(char_map *map) {
    int64_t depth = 0;
    if (!enter(map, 0, 0)) return false;
    for (;;) {
        const uint32_t p = map->way[depth];
        if (map->at_byte[depth] == 256) {
            map->visit[p] = VISIT_DONE;
            if (--depth < 0) return true;
            if (!count_child(map, map->way[depth], p)) return false;
            continue;
        }
        const uint32_t byte = (uint32_t)map->at_byte[depth]++;
        const uint32_t child = p ^ unit_offset(map->unit[p]) ^ byte;
        if (unit_label(map->unit[child]) != byte) continue;
        if (map->visit[child] == VISIT_OPEN) return false;
        const bool fits = map->visit[child] == VISIT_DONE ? count_child(map, p, child)
                                                          : enter(map, ++depth, child);
        if (!fits) return false;
    }
}

static reel_status check_map_units(const checking *c, const uint8_t *data, char_map *map) {
    map->unit = reel_alloc(c->env, map->n * (int64_t)sizeof *map->unit, tag_text);
    map->leaves = reel_calloc(c->env, map->n, 1, tag_text);
    map->visit = reel_calloc(c->env, map->n, 1, tag_text);
    map->way = reel_alloc(c->env, map->n * (int64_t)sizeof *map->way, tag_text);
    map->at_byte = reel_alloc(c->env, map->n * (int64_t)sizeof *map->at_byte, tag_text);
    reel_status status = REEL_E_NOMEM;
    if (map->unit && map->leaves && map->visit && map->way && map->at_byte) {
        for (int64_t i = 0; i < map->n; i++) {
            message m = {.data = data + 4 * i, .bytes = 4};
            uint64_t unit = 0;
            (void)read_fixed(&m, 4, &unit);
            map->unit[i] = (uint32_t)unit;
        }
        status = map_is_sound(map)
                     ? REEL_OK
                     : reel_fail(c->env, REEL_E_FORMAT,
                                 "%s: the character map leads outside itself", c->name);
    }
    reel_free(c->env, map->unit);
    reel_free(c->env, map->leaves);
    reel_free(c->env, map->visit);
    reel_free(c->env, map->way);
    reel_free(c->env, map->at_byte);
    return status;
}

/* 4 bytes, the double array's length in bytes; the double array; texts that end in a 0 each. */
static reel_status check_map(const checking *c, const field *f) {
    if (f->bytes == 0) return REEL_OK; /* no map: text is taken as it is */
    message m = field_message(f);
    uint64_t map_bytes = 0;
    if (!read_fixed(&m, 4, &map_bytes) || map_bytes % 4 || map_bytes < 4 * 256 ||
        map_bytes >= (uint64_t)(f->bytes - 4) || f->data[f->bytes - 1] != 0)
        return reel_fail(c->env, REEL_E_FORMAT, "%s: the character map is cut off", c->name);
    char_map map = {.n = (int64_t)map_bytes / 4, .text_bytes = f->bytes - 4 - (int64_t)map_bytes};
    return check_map_units(c, f->data + 4, &map);
}

/* NormalizerSpec: 2 precompiled_charsmap. */
static reel_status check_normalizer(const checking *c, message m) {
    while (m.at < m.bytes) {
        field f;
        if (!read_field(&m, &f)) return fail_broken(c, "the normaliser's part");
        if (f.number != 2 || f.type != WIRE_BYTES) continue;
        const reel_status status = check_map(c, &f);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

/* ModelProto: 1 pieces, 2 trainer_spec, 3 normalizer_spec, 5 denormalizer_spec. */
reel_status reel_spm_check(reel_env *env, const void *model, int64_t bytes, const char *name) {
    checking c = {.env = env, .name = name};
    if (bytes > MAX_MODEL_BYTES)
        return reel_fail(env, REEL_E_FORMAT, "%s: wanted a model of at most %d bytes, got %lld",
                         name, MAX_MODEL_BYTES, (long long)bytes);
    message m = {.data = model, .bytes = bytes};
    while (m.at < m.bytes) {
        field f;
        reel_status status = REEL_OK;
        if (!read_field(&m, &f)) return fail_broken(&c, "it");
        if (f.type != WIRE_BYTES) continue;
        if (f.number == 1) status = check_piece(&c, field_message(&f));
        if (f.number == 2) status = check_trainer(&c, field_message(&f));
        if (f.number == 3 || f.number == 5) status = check_normalizer(&c, field_message(&f));
        if (status != REEL_OK) return status;
    }
    if (c.n_pieces == 0)
        return reel_fail(env, REEL_E_FORMAT, "%s: wanted a sentencepiece model, got no pieces",
                         name);
    return REEL_OK;
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/file.h"
#include "text/spm_check.h"
#include "text/tokenizer.h"

/* A sound model without a character map; tests put one of their own behind it. */
static const char plain_model[] = "tests/fuzz/corpus/tokenizer/plain.model";

enum { MAX_UNITS = 256 * 40, ROOM = 4 * MAX_UNITS + 1024 };

typedef struct fixture {
    reel_env *env;
    char *plain;
    int64_t plain_bytes;
    uint32_t unit[MAX_UNITS];
    uint8_t model[ROOM];
} fixture;

static int set_up(void **state) {
    static fixture f;
    f = (fixture){0};
    *state = &f;
    return reel_env_new(NULL, &f.env) != REEL_OK ||
           reel_file_read(f.env, plain_model, 1 << 16, &f.plain, &f.plain_bytes) != REEL_OK;
}

static int tear_down(void **state) {
    fixture *f = *state;
    reel_free(f->env, f->plain);
    const bool leaks = f->env->allocator.bytes != 0;
    reel_env_free(&f->env);
    return leaks;
}

static int64_t put_varint(uint8_t *to, uint64_t value) {
    int64_t n = 0;
    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

/* A unit whose children begin at base, seen from its own place. */
static uint32_t unit(uint32_t label, uint32_t at, uint32_t base, bool leaf) {
    return (at ^ base) << 10 | (leaf ? 0x100u : 0) | label;
}

/* The plain model, then field 3 (the normaliser) with field 2: n units and text. */
static int64_t make_model(fixture *f, uint32_t n, const char *text, int64_t text_bytes) {
    uint8_t *m = f->model;
    int64_t at = f->plain_bytes;
    const uint64_t map_bytes = 4 + 4ull * n + (uint64_t)text_bytes;
    uint8_t head[16];
    memcpy(m, f->plain, (size_t)at);
    m[at++] = 3 << 3 | 2;
    const int64_t n_head = 1 + put_varint(head, map_bytes);
    at += put_varint(m + at, map_bytes + (uint64_t)n_head);
    m[at++] = 2 << 3 | 2;
    at += put_varint(m + at, map_bytes);
    const uint32_t unit_bytes = 4 * n;
    memcpy(m + at, &unit_bytes, 4);
    memcpy(m + at + 4, f->unit, 4ull * n);
    memcpy(m + at + 4 + 4ull * n, text, (size_t)text_bytes);
    return at + (int64_t)map_bytes;
}

static void expect(fixture *f, int64_t bytes, reel_status wanted, const char *part) {
    reel_env_clear(f->env);
    assert_int_equal(reel_spm_check(f->env, f->model, bytes, "m"), wanted);
    if (!strstr(reel_env_message(f->env), part))
        fail_msg("'%s' lacks '%s'", reel_env_message(f->env), part);
}

/* Units that no byte leads to, and a root whose children begin at 1, so that a 0 byte does not lead
 * back to it. */
static void clear_units(fixture *f) {
    for (int i = 0; i < MAX_UNITS; i++)
        f->unit[i] = 1u << 31;
    f->unit[0] = unit(0, 0, 1, false);
}

enum { NODE = 'A' ^ 1 };

/* 'A' becomes "a". */
static void write_rule(fixture *f) {
    clear_units(f);
    f->unit[NODE] = unit('A', NODE, 0x80, true);
}

static void test_spm_check_passes_a_map_that_works(void **state) {
    fixture *f = *state;
    write_rule(f);
    const int64_t bytes = make_model(f, 256, "a", 2);
    expect(f, bytes, REEL_OK, "");
    if (!REEL_SENTENCEPIECE) skip();
    reel_tokenizer *t = NULL;
    reel_tokens tokens = {0};
    assert_int_equal(reel_tokenizer_parse(f->env, f->model, bytes, "m", &t), REEL_OK);
    assert_int_equal(reel_tokenizer_encode(t, "A", 1, NULL, &tokens), REEL_OK);
    assert_string_equal(reel_tokenizer_piece(t, tokens.id[0]), "\u2581a");
    reel_tokens_deinit(f->env, &tokens);
    reel_tokenizer_close(&t);
}

static void test_spm_check_refuses_maps_that_lead_astray(void **state) {
    fixture *f = *state;
    static const char outside[] = "m: the character map leads outside itself";
    write_rule(f);
    f->unit[NODE] = unit('A', NODE, 0x180, true); /* children past the end */
    expect(f, make_model(f, 256, "a", 2), REEL_E_FORMAT, outside);
    write_rule(f);
    f->unit[0x80] = 1u << 31 | 2; /* a text past the end */
    expect(f, make_model(f, 256, "a", 2), REEL_E_FORMAT, outside);
    write_rule(f);
    f->unit[NODE] = unit('A', NODE, 1, false); /* its own child */
    expect(f, make_model(f, 256, "a", 2), REEL_E_FORMAT, outside);
    write_rule(f);
    f->unit[0] = 0x200 | 1u << 10; /* the root's children 256 units away */
    expect(f, make_model(f, 256, "a", 2), REEL_E_FORMAT, outside);
}

static void test_spm_check_counts_nested_rules(void **state) {
    fixture *f = *state;
    for (uint32_t depth = 31; depth <= 34; depth++) {
        clear_units(f);
        for (uint32_t k = 0; k < depth; k++) {
            const uint32_t at = k == 0 ? 'a' ^ 1 : 256 * k + 'a';
            f->unit[at] = unit('a', at, 256 * (k + 1), true);
        }
        const bool fits = depth <= 32;
        expect(f, make_model(f, 256 * (depth + 1), "b", 2), fits ? REEL_OK : REEL_E_FORMAT,
               fits ? "" : "leads outside");
    }
}

static void test_spm_check_refuses_maps_cut_off(void **state) {
    fixture *f = *state;
    static const char cut[] = "m: the character map is cut off";
    write_rule(f);
    expect(f, make_model(f, 255, "a", 2), REEL_E_FORMAT, cut);
    expect(f, make_model(f, 256, "a", 1), REEL_E_FORMAT, cut); /* no 0 at the end */
    expect(f, make_model(f, 256, "", 0), REEL_E_FORMAT, cut);
}

static void test_spm_check_refuses_what_is_no_model(void **state) {
    fixture *f = *state;
    memcpy(f->model, f->plain, (size_t)f->plain_bytes);
    expect(f, 0, REEL_E_FORMAT, "got no pieces");
    expect(f, 1, REEL_E_FORMAT, "m: it is cut off");
    memset(f->model, '<', 64); /* a field of 60 bytes */
    expect(f, 20, REEL_E_FORMAT, "m: it is cut off or is no sentencepiece model");
    for (int64_t n = 1; n < f->plain_bytes; n++) { /* at most field boundaries pass */
        memcpy(f->model, f->plain, (size_t)n);
        reel_env_clear(f->env);
        const reel_status status = reel_spm_check(f->env, f->model, n, "m");
        assert_true(status == REEL_OK || status == REEL_E_FORMAT);
    }
}

/* Puts a model of one piece with these bytes together. */
static int64_t make_piece(fixture *f, const char *text, int64_t bytes, uint32_t score,
                          uint8_t kind) {
    uint8_t *m = f->model;
    int64_t at = 0;
    m[at++] = 1 << 3 | 2;
    uint8_t head[16];
    at += put_varint(m + at, (uint64_t)(1 + put_varint(head, (uint64_t)bytes) + bytes + 7));
    m[at++] = 1 << 3 | 2;
    at += put_varint(m + at, (uint64_t)bytes);
    memcpy(m + at, text, (size_t)bytes);
    at += bytes;
    m[at++] = 2 << 3 | 5;
    memcpy(m + at, &score, 4);
    at += 4;
    m[at++] = 3 << 3;
    m[at++] = kind;
    return at;
}

static void test_spm_check_refuses_pieces_no_trainer_writes(void **state) {
    fixture *f = *state;
    char long_text[70];
    memset(long_text, 'x', sizeof long_text);
    expect(f, make_piece(f, "ab", 2, 0, 1), REEL_OK, "");
    expect(f, make_piece(f, "", 0, 0, 1), REEL_E_FORMAT, "piece 0 has 0 bytes");
    expect(f, make_piece(f, "a\0b", 3, 0, 1), REEL_E_FORMAT, "piece 0 is not UTF-8 text");
    expect(f, make_piece(f, "\xff", 1, 0, 1), REEL_E_FORMAT, "piece 0 is not UTF-8 text");
    expect(f, make_piece(f, "a", 1, 0x7fc00000, 1), REEL_E_FORMAT, "score of piece 0");
    expect(f, make_piece(f, long_text, 64, 0, 4), REEL_OK, "");
    expect(f, make_piece(f, long_text, 65, 0, 1), REEL_OK, "");
    expect(f, make_piece(f, long_text, 65, 0, 4), REEL_E_FORMAT, "user-defined piece 0 has 65");
}

static void test_spm_check_names_the_kind_it_wants(void **state) {
    fixture *f = *state;
    int64_t at = make_piece(f, "ab", 2, 0, 1);
    const uint8_t trainer[] = {2 << 3 | 2, 2, 3 << 3, 2};
    memcpy(f->model + at, trainer, sizeof trainer);
    at += (int64_t)sizeof trainer;
    expect(f, at, REEL_E_UNSUPPORTED, "m: wanted a unigram model, as T5's, got BPE");
    f->model[at - 1] = 9;
    expect(f, at, REEL_E_UNSUPPORTED, "an unknown kind");
    f->model[at - 1] = 1;
    expect(f, at, REEL_OK, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm_check_passes_a_map_that_works),
        cmocka_unit_test(test_spm_check_refuses_maps_that_lead_astray),
        cmocka_unit_test(test_spm_check_counts_nested_rules),
        cmocka_unit_test(test_spm_check_refuses_maps_cut_off),
        cmocka_unit_test(test_spm_check_refuses_what_is_no_model),
        cmocka_unit_test(test_spm_check_refuses_pieces_no_trainer_writes),
        cmocka_unit_test(test_spm_check_names_the_kind_it_wants),
    };
    return cmocka_run_group_tests_name("spm_check", tests, set_up, tear_down);
}

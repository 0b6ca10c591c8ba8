#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* One vocabulary for all tests: trained on two hundred made-up captions. */
typedef struct fixture {
    reel_env *env;
    char folder[64];
    char path[96];
    reel_tokenizer *t;
} fixture;

typedef struct corpus {
    int n;
    int i;
    char line[400];
} corpus;

static const char *next_caption(void *context, int64_t *bytes) {
    static const char *const word[] = {"a",    "red",  "blue", "ball",  "cube", "rolls", "bounces",
                                       "over", "snow", "the",  "grass", "at",   "night", "sunset"};
    static const char *const hanzi[] = {"一个", "红色", "蓝色", "的球",
                                        "方块", "滚动", "雪地", "日落"};
    corpus *c = context;
    if (c->i == c->n) return NULL;
    c->line[0] = '\0';
    for (uint64_t k = 0; k < 8; k++) {
        const bool chinese = c->i % 3 == 0;
        const uint64_t at = (uint64_t)c->i * 8 + k;
        strcat(c->line,
               chinese ? hanzi[reel_rng_below(1, 2, at, 8)] : word[reel_rng_below(1, 2, at, 14)]);
        if (!chinese) strcat(c->line, " ");
    }
    c->i++;
    *bytes = (int64_t)strlen(c->line);
    return c->line;
}

static reel_status train(fixture *f, const char *name, int32_t size, int n_lines, int32_t *made) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    reel_vocabulary_options options = reel_vocabulary_options_default();
    options.size = size;
    corpus c = {.n = n_lines};
    return reel_tokenizer_train(f->env, path, &options, next_caption, &c, made);
}

static int set_up(void **state) {
    static fixture f;
    f = (fixture){.folder = "/tmp/reel-tokenizer.XXXXXX"};
    *state = &f;
    if (reel_env_new(NULL, &f.env) != REEL_OK || !mkdtemp(f.folder)) return 1;
    snprintf(f.path, sizeof f.path, "%s/spiece.model", f.folder);
    if (!REEL_SENTENCEPIECE) return 0;
    return train(&f, "spiece.model", 400, 200, NULL) != REEL_OK ||
           reel_tokenizer_open(f.env, f.folder, &f.t) != REEL_OK;
}

static int tear_down(void **state) {
    fixture *f = *state;
    reel_tokenizer_close(&f->t);
    unlink(f->path);
    const bool bad = rmdir(f->folder) != 0 || f->env->allocator.bytes != 0;
    reel_env_free(&f->env);
    return bad;
}

static fixture *begin(void **state) {
    fixture *f = *state;
    reel_env_clear(f->env);
    if (!f->t) skip();
    return f;
}

static void test_tokenizer_has_the_ids_of_t5(void **state) {
    const fixture *f = begin(state);
    assert_int_equal(reel_tokenizer_pad(f->t), 0);
    assert_int_equal(reel_tokenizer_end(f->t), 1);
    assert_int_equal(reel_tokenizer_unknown(f->t), 2);
    assert_string_equal(reel_tokenizer_piece(f->t, 1), "</s>");
    assert_null(reel_tokenizer_piece(f->t, -1));
    assert_null(reel_tokenizer_piece(f->t, reel_tokenizer_size(f->t)));
    for (int32_t i = 0; i < reel_tokenizer_size(f->t); i++)
        assert_int_equal(reel_tokenizer_id(f->t, reel_tokenizer_piece(f->t, i)), i);
    assert_int_equal(reel_tokenizer_id(f->t, "no such piece"), -1);
}

static void test_tokenizer_returns_the_text_it_took(void **state) {
    const fixture *f = begin(state);
    static const char *const texts[] = {"a red ball", "一个红色的球", "the cube 🚀 at night",
                                        "ünïcode"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        reel_tokens tokens = {0};
        char *text = NULL;
        int64_t bytes = 0;
        assert_int_equal(
            reel_tokenizer_encode(f->t, texts[i], (int64_t)strlen(texts[i]), NULL, &tokens),
            REEL_OK);
        assert_int_equal(tokens.id[tokens.n - 1], 1);
        assert_int_equal(tokens.n_cut, 0);
        for (int64_t k = 0; k < tokens.n; k++)
            assert_int_not_equal(tokens.id[k], 2); /* bytes spell what has no piece */
        assert_int_equal(reel_tokenizer_decode(f->t, tokens.id, tokens.n, &text, &bytes), REEL_OK);
        assert_string_equal(text, texts[i]);
        assert_int_equal(bytes, strlen(text));
        reel_free(f->env, text);
        reel_tokens_deinit(f->env, &tokens);
    }
}

static void test_tokenizer_says_how_much_it_cut(void **state) {
    const fixture *f = begin(state);
    static const char text[] = "red ball blue cube red ball blue cube";
    reel_encode_options options = {0};
    reel_tokens all = {0};
    assert_int_equal(reel_tokenizer_encode(f->t, text, sizeof text - 1, &options, &all), REEL_OK);
    assert_true(all.n >= 8);
    for (int64_t limit = 1; limit <= all.n + 2; limit++)
        for (int end = 0; end < 2; end++) {
            options = (reel_encode_options){.max_tokens = limit, .add_end = end};
            reel_tokens some = {0};
            assert_int_equal(reel_tokenizer_encode(f->t, text, sizeof text - 1, &options, &some),
                             REEL_OK);
            const int64_t kept = some.n - end;
            assert_true(some.n <= limit);
            assert_int_equal(kept + some.n_cut, all.n);
            assert_true(some.n_cut == 0 || some.n == limit);
            for (int64_t i = 0; i < kept; i++)
                assert_int_equal(some.id[i], all.id[i]);
            if (end) assert_int_equal(some.id[kept], 1);
            reel_tokens_deinit(f->env, &some);
        }
    reel_tokens_deinit(f->env, &all);
}

static void test_tokenizer_encodes_nothing(void **state) {
    const fixture *f = begin(state);
    reel_tokens tokens = {0};
    assert_int_equal(reel_tokenizer_encode(f->t, NULL, 0, NULL, &tokens), REEL_OK);
    assert_int_equal(tokens.n, 1);
    reel_tokens_deinit(f->env, &tokens);
    const reel_encode_options bare = {0};
    assert_int_equal(reel_tokenizer_encode(f->t, "", 0, &bare, &tokens), REEL_OK);
    assert_int_equal(tokens.n, 0);
    assert_null(tokens.id);
}

/* Why prompt cleaning may leave composition and half-width katakana alone. */
static void test_tokenizer_normalises_by_itself(void **state) {
    const fixture *f = begin(state);
    static const char *const same[][2] = {{"caf\u00e9", "cafe\u0301"},
                                          {"\u30ac", "\uff76\uff9e"},
                                          {"\uac00", "\u1100\u1161"},
                                          {"red", "\uff52\uff45\uff44"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        reel_tokens a = {0};
        reel_tokens b = {0};
        assert_int_equal(
            reel_tokenizer_encode(f->t, same[i][0], (int64_t)strlen(same[i][0]), NULL, &a),
            REEL_OK);
        assert_int_equal(
            reel_tokenizer_encode(f->t, same[i][1], (int64_t)strlen(same[i][1]), NULL, &b),
            REEL_OK);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.id, b.id, (size_t)a.n * sizeof *a.id);
        reel_tokens_deinit(f->env, &a);
        reel_tokens_deinit(f->env, &b);
    }
}

static void expect_message(const fixture *f, const char *part) {
    if (!strstr(reel_env_message(f->env), part))
        fail_msg("'%s' lacks '%s'", reel_env_message(f->env), part);
}

static void test_tokenizer_refuses_ids_and_limits_out_of_range(void **state) {
    const fixture *f = begin(state);
    const int32_t id[] = {5, reel_tokenizer_size(f->t)};
    char *text = NULL;
    assert_int_equal(reel_tokenizer_decode(f->t, id, 2, &text, NULL), REEL_E_ARG);
    expect_message(f, "id 1 is ");
    reel_env_clear(f->env);
    const reel_encode_options options = {.max_tokens = -1};
    reel_tokens tokens = {0};
    assert_int_equal(reel_tokenizer_encode(f->t, "a", 1, &options, &tokens), REEL_E_ARG);
    expect_message(f, "max_tokens is -1");
}

static void test_tokenizer_says_what_a_folder_lacks(void **state) {
    fixture *f = *state;
    reel_env_clear(f->env);
    char folder[96];
    char file[128];
    snprintf(folder, sizeof folder, "%s/other", f->folder);
    snprintf(file, sizeof file, "%s/tokenizer.json", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    reel_tokenizer *t = NULL;
    assert_int_equal(reel_tokenizer_open(f->env, folder, &t), REEL_E_IO);
    expect_message(f, "wanted spiece.model");
    reel_env_clear(f->env);
    assert_int_equal(reel_file_write(f->env, file, "{}", 2), REEL_OK);
    assert_int_equal(reel_tokenizer_open(f->env, folder, &t), REEL_E_UNSUPPORTED);
    expect_message(f, "it has a tokenizer.json, but reel reads spiece.model");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_tokenizer_trains_to_the_same_bytes(void **state) {
    fixture *f = begin(state);
    char path[128];
    char *a = NULL;
    char *b = NULL;
    int64_t a_bytes = 0;
    int64_t b_bytes = 0;
    int32_t size = 0;
    snprintf(path, sizeof path, "%s/again.model", f->folder);
    assert_int_equal(train(f, "again.model", 400, 200, &size), REEL_OK);
    assert_int_equal(size, reel_tokenizer_size(f->t));
    assert_int_equal(reel_file_read(f->env, f->path, 1 << 24, &a, &a_bytes), REEL_OK);
    assert_int_equal(reel_file_read(f->env, path, 1 << 24, &b, &b_bytes), REEL_OK);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, (size_t)a_bytes);
    reel_free(f->env, a);
    reel_free(f->env, b);
    assert_int_equal(unlink(path), 0);
}

/* How many pieces hold two Han characters, and how many hold one beside something else. */
static void count_han(const reel_tokenizer *t, int *several, int *mixed) {
    for (int32_t i = 0; i < reel_tokenizer_size(t); i++) {
        const char *piece = reel_tokenizer_piece(t, i);
        const int64_t bytes = (int64_t)strlen(piece);
        int n_han = 0;
        int n_other = 0;
        int used = 0;
        for (int64_t k = 0; k < bytes; k += used)
            reel_is_han(reel_utf8_get(piece + k, bytes - k, &used, NULL)) ? n_han++ : n_other++;
        *several += n_han > 1;
        *mixed += n_han > 0 && n_other > 0;
    }
}

static void test_tokenizer_makes_no_phrases_of_han(void **state) {
    fixture *f = begin(state);
    int several = 0;
    int mixed = 0;
    count_han(f->t, &several, &mixed);
    assert_int_equal(several, 0);
    assert_int_equal(mixed, 0);
    assert_int_not_equal(reel_tokenizer_id(f->t, "\u7ea2"), -1);       /* red */
    assert_int_not_equal(reel_tokenizer_id(f->t, "\u2581sunset"), -1); /* a word stays one */
    char path[128];
    snprintf(path, sizeof path, "%s/whole.model", f->folder);
    reel_vocabulary_options options = reel_vocabulary_options_default();
    options.size = 400;
    options.as_given = true;
    corpus c = {.n = 200};
    reel_tokenizer *whole = NULL;
    assert_int_equal(reel_tokenizer_train(f->env, path, &options, next_caption, &c, NULL), REEL_OK);
    assert_int_equal(reel_tokenizer_open(f->env, path, &whole), REEL_OK);
    count_han(whole, &several, &mixed);
    assert_true(several > 0); /* which is what the cutting is for */
    reel_tokenizer_close(&whole);
    assert_int_equal(unlink(path), 0);
}

static void test_tokenizer_training_refuses_what_it_cannot_use(void **state) {
    fixture *f = begin(state);
    assert_int_equal(train(f, "none.model", 299, 200, NULL), REEL_E_ARG);
    expect_message(f, "a vocabulary of 299 pieces, wanted 300 to 1000000");
    reel_env_clear(f->env);
    assert_int_equal(train(f, "none.model", 400, 0, NULL), REEL_E_ARG);
    expect_message(f, "no usable line");
    char path[128];
    snprintf(path, sizeof path, "%s/none.model", f->folder);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_has_the_ids_of_t5),
        cmocka_unit_test(test_tokenizer_returns_the_text_it_took),
        cmocka_unit_test(test_tokenizer_says_how_much_it_cut),
        cmocka_unit_test(test_tokenizer_encodes_nothing),
        cmocka_unit_test(test_tokenizer_normalises_by_itself),
        cmocka_unit_test(test_tokenizer_refuses_ids_and_limits_out_of_range),
        cmocka_unit_test(test_tokenizer_says_what_a_folder_lacks),
        cmocka_unit_test(test_tokenizer_trains_to_the_same_bytes),
        cmocka_unit_test(test_tokenizer_makes_no_phrases_of_han),
        cmocka_unit_test(test_tokenizer_training_refuses_what_it_cannot_use),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, set_up, tear_down);
}

/* Ids equal those of sentencepiece's own program, spm_encode, on a hundred thousand lines of
 * English, Chinese, emoji and malformed UTF-8 by a model that spm_train made, and on a fifth of
 * them by one of ours, which spells in bytes what has no piece.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

enum { N_LINES = 100000, N_TRAINED = 3000, LINE_BYTES = 512 };

typedef struct place {
    reel_env *env;
    char folder[48];
    char lines[80]; /* the generated lines */
    char ids[80];   /* what spm_encode made of them */
} place;

/* ---- the lines: a function of their number ---- */

typedef struct writing {
    char *text;
    int64_t bytes;
    uint64_t line;
    uint64_t n_drawn;
    bool plain; /* for training: few enough characters for a small vocabulary */
} writing;

static uint64_t draw(writing *w, uint64_t n) {
    return reel_rng_below(7, w->line, w->n_drawn++, n);
}

static void add_text(writing *w, const char *text) {
    const size_t n = strlen(text);
    memcpy(w->text + w->bytes, text, n);
    w->bytes += (int64_t)n;
}

static void add_code(writing *w, uint32_t code) {
    w->bytes += reel_utf8_put(code, w->text + w->bytes);
}

static void add_english(writing *w) {
    static const char *const word[] = {"a",      "The",   "red",       "ball,", "bounces",
                                       "on",     "green", "grass",     "at",    "dusk",
                                       "camera", "pans",  "don't",     "3.14",  "  ",
                                       "x-ray",  "URL:",  "caf\u00e9", "\t",    "\u2581"};
    add_text(w, word[draw(w, sizeof word / sizeof word[0])]);
    add_text(w, " ");
    if (draw(w, 4) == 0) add_code(w, (uint32_t)('!' + draw(w, 94)));
}

static void add_chinese(writing *w) {
    const bool common = w->plain || draw(w, 3) != 0;
    add_code(w, (uint32_t)(common ? 0x4e00 + draw(w, 300) : 0x4e00 + draw(w, 0x51a5)));
    if (draw(w, 9) == 0) add_text(w, draw(w, 2) ? "，" : "　");
}

static void add_emoji(writing *w) {
    static const uint32_t joined[] = {0x200d, 0xfe0f, 0x1f3fd, 0x20e3};
    add_code(w, (uint32_t)(draw(w, 2) ? 0x1f300 + draw(w, 0x500) : 0x2600 + draw(w, 0x1c0)));
    if (draw(w, 2)) add_code(w, joined[draw(w, 4)]);
}

/* Any character at all: combining marks, half and full width, Hangul, private use, control. */
static void add_any(writing *w) {
    uint32_t code = (uint32_t)draw(w, draw(w, 2) ? 0x3400 : 0x110000);
    if (code == '\n' || (code >= 0xd800 && code <= 0xdfff)) code = 0x301;
    add_code(w, code);
}

static void add_malformed(writing *w) {
    const uint8_t byte = (uint8_t)draw(w, 256);
    w->text[w->bytes++] = (char)(byte == '\n' ? 0xc0 : byte);
}

static int64_t write_line(uint64_t line, bool plain, char text[LINE_BYTES]) {
    static void (*const add[])(writing *) = {add_english, add_chinese, add_emoji, add_any,
                                             add_malformed};
    writing w = {.text = text, .line = line, .plain = plain};
    const uint64_t length = draw(&w, 30);
    const uint64_t own = line % (plain ? 2 : 6); /* one kind alone, or all together */
    for (uint64_t i = 0; i < length && w.bytes < LINE_BYTES - 32; i++)
        add[own < 5 ? own : draw(&w, 5)](&w);
    return w.bytes;
}

/* ---- the comparison ---- */

static const char *next_line(void *context, int64_t *bytes) {
    struct {
        uint64_t line;
        char text[LINE_BYTES];
    } *source = context;
    if (source->line >= N_TRAINED) return NULL;
    *bytes = write_line(source->line++, true, source->text);
    return source->text;
}

static void write_lines(const char *path, uint64_t n, bool plain) {
    char text[LINE_BYTES];
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (uint64_t i = 0; i < n; i++) {
        const int64_t bytes = write_line(i, plain, text);
        fwrite(text, 1, (size_t)bytes, f);
        fputc('\n', f);
    }
    assert_int_equal(fclose(f), 0);
}

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...) {
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return system(command);
}

/* Compares one line's ids with one line of spm_encode's output, numbers with a space between. */
static bool ids_are(const reel_tokens *tokens, char *said) {
    char *rest = said;
    for (int64_t i = 0; i < tokens->n; i++) {
        char *end = NULL;
        if (strtol(rest, &end, 10) != tokens->id[i] || end == rest) return false;
        rest = end;
    }
    return *rest == '\n';
}

static void compare(place *p, const char *model, uint64_t n_lines) {
    const reel_encode_options bare = {0};
    reel_tokenizer *t = NULL;
    char text[LINE_BYTES];
    char *said = NULL;
    size_t room = 0;
    int64_t n_ids = 0;
    if (reel_tokenizer_open(p->env, model, &t) != REEL_OK) fail_msg("%s", reel_env_message(p->env));
    write_lines(p->lines, n_lines, false);
    assert_int_equal(
        run("spm_encode --model='%s' --output_format=id <'%s' >'%s'", model, p->lines, p->ids), 0);
    FILE *ids = fopen(p->ids, "rb");
    assert_non_null(ids);
    for (uint64_t i = 0; i < n_lines; i++) {
        reel_tokens tokens = {0};
        const int64_t bytes = write_line(i, false, text);
        assert_int_equal(reel_tokenizer_encode(t, text, bytes, &bare, &tokens), REEL_OK);
        if (getline(&said, &room, ids) < 0) fail_msg("spm_encode gave %" PRIu64 " lines", i);
        if (!ids_are(&tokens, said)) fail_msg("line %" PRIu64 " has other ids: %s", i, said);
        n_ids += tokens.n;
        reel_tokens_deinit(p->env, &tokens);
    }
    print_message("%" PRIu64 " lines, %" PRId64 " ids\n", n_lines, n_ids);
    assert_true(n_ids > 10 * (int64_t)n_lines);
    free(said);
    fclose(ids);
    reel_tokenizer_close(&t);
}

static void test_agreement_on_a_model_of_spm_train(void **state) {
    place *p = *state;
    char model[96];
    if (!REEL_SENTENCEPIECE ||
        run("command -v spm_train >/dev/null && command -v spm_encode >/dev/null"))
        skip();
    snprintf(model, sizeof model, "%s/spm.model", p->folder);
    write_lines(p->lines, N_TRAINED, true);
    assert_int_equal(
        run("spm_train --input='%s' --model_prefix='%s/spm' --vocab_size=1500 --minloglevel=2"
            " --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1 --hard_vocab_limit=false"
            " --user_defined_symbols='<extra_id_0>,<extra_id_1>'"
            " >/dev/null 2>&1",
            p->lines, p->folder),
        0);
    compare(p, model, N_LINES);
}

static void test_agreement_on_a_model_of_ours(void **state) {
    place *p = *state;
    char model[96];
    struct {
        uint64_t line;
        char text[LINE_BYTES];
    } source = {0};
    reel_vocabulary_options options = reel_vocabulary_options_default();
    if (!REEL_SENTENCEPIECE || run("command -v spm_encode >/dev/null")) skip();
    snprintf(model, sizeof model, "%s/spiece.model", p->folder);
    if (reel_tokenizer_train(p->env, model, &options, next_line, &source, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(p->env));
    compare(p, model, N_LINES / 5);
}

static int set_up(void **state) {
    static place p;
    p = (place){.folder = "/tmp/reel-agreement.XXXXXX"};
    *state = &p;
    if (reel_env_new(NULL, &p.env) != REEL_OK || !mkdtemp(p.folder)) return 1;
    snprintf(p.lines, sizeof p.lines, "%s/lines", p.folder);
    snprintf(p.ids, sizeof p.ids, "%s/ids", p.folder);
    return 0;
}

static int tear_down(void **state) {
    place *p = *state;
    const bool leaks = p->env->allocator.bytes != 0;
    reel_env_free(&p->env);
    return run("rm -rf '%s'", p->folder) != 0 || leaks;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement_on_a_model_of_spm_train),
        cmocka_unit_test(test_agreement_on_a_model_of_ours),
    };
    return cmocka_run_group_tests_name("agreement", tests, set_up, tear_down);
}

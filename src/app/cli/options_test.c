/* The option parser: defaults, every kind of value, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/cli/options.h"

typedef struct values {
    int64_t threads;
    double scale;
    const char *isa;
    const char *out;
    bool json;
    int64_t seed, room;
    reel_option_size size;
} values;

static const reel_option options[] = {
    {.name = "threads",
     .value = "N",
     .help = "threads",
     .initial = "4",
     .min = 1,
     .max = 256,
     .offset = offsetof(values, threads),
     .kind = REEL_OPTION_COUNT},
    {.name = "scale",
     .value = "X",
     .help = "scale",
     .initial = "1.5",
     .min = -2,
     .max = 2,
     .offset = offsetof(values, scale),
     .kind = REEL_OPTION_NUMBER},
    {.name = "isa",
     .value = "LEVEL",
     .help = "level",
     .choices = {"portable", "avx2", "amx"},
     .offset = offsetof(values, isa),
     .kind = REEL_OPTION_CHOICE},
    {.name = "out",
     .value = "FILE",
     .help = "file",
     .offset = offsetof(values, out),
     .kind = REEL_OPTION_TEXT},
    {.name = "json",
     .short_name = 'j',
     .help = "as JSON",
     .offset = offsetof(values, json),
     .kind = REEL_OPTION_FLAG},
    {.name = "seed",
     .short_name = 's',
     .value = "N",
     .help = "seed",
     .offset = offsetof(values, seed),
     .kind = REEL_OPTION_SEED},
    {.name = "room",
     .value = "SIZE",
     .help = "memory",
     .min = 1 << 20,
     .max = 0x1p40,
     .offset = offsetof(values, room),
     .kind = REEL_OPTION_BYTES},
    {.name = "size",
     .short_name = 'S',
     .value = "WxH",
     .help = "size",
     .min = 16,
     .max = 8192,
     .offset = offsetof(values, size),
     .kind = REEL_OPTION_SIZE},
};

static const reel_usage usage = {.command = "probe",
                                 .summary = "Probe",
                                 .operands = "FILE",
                                 .min_operands = 1,
                                 .max_operands = 2,
                                 .option = options,
                                 .n_options = sizeof options / sizeof *options};

#define PARSE(v, p, ...)                                                                           \
    reel_options_parse(&usage, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),      \
                       (const char *[]){__VA_ARGS__}, (v), (p))

/* Each of words alone must be refused, with exactly these texts in the message. */
static void refused(const char *word, const char *flag, const char *given, const char *wanted) {
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "file", word), REEL_E_ARG);
    if (!strstr(p.message, flag) || !strstr(p.message, given) || !strstr(p.message, wanted)) {
        fail_msg("'%s' was refused with '%s', wanted it to name '%s', '%s' and '%s'", word,
                 p.message, flag, given, wanted);
    }
}

static void test_options_defaults_hold_when_nothing_is_given(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "a.safetensors"), REEL_OK);
    assert_int_equal(v.threads, 4);
    assert_true(v.scale == 1.5);
    assert_null(v.isa);
    assert_null(v.out);
    assert_false(v.json);
    assert_int_equal(p.n_operands, 1);
    assert_string_equal(p.operand[0], "a.safetensors");
}

static void test_options_values_are_read_in_both_spellings(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "--threads", "7", "x", "--scale=-1e-1", "--isa=avx2", "--out",
                           "--json", "--json", "y"),
                     REEL_OK);
    assert_int_equal(v.threads, 7);
    assert_true(v.scale == -1e-1);
    assert_string_equal(v.isa, "avx2");
    assert_string_equal(v.out, "--json"); /* a value is taken as it comes */
    assert_true(v.json);
    assert_string_equal(p.operand[1], "y");
}

static void test_options_short_names_take_values_behind_and_after(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "-s", "7", "-j", "x", "-S64x48"), REEL_OK);
    assert_int_equal(v.seed, 7);
    assert_true(v.json);
    assert_int_equal(v.size.width, 64);
    assert_int_equal(v.size.height, 48);
    assert_int_equal(PARSE(&v, &p, "x", "-s8"), REEL_OK);
    assert_int_equal(v.seed, 8);
}

static void test_options_given_tells_what_was_there(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "-s", "0", "x"), REEL_OK);
    assert_true(reel_option_given(&usage, &p, "seed"));
    assert_false(reel_option_given(&usage, &p, "threads")); /* it has a default */
    assert_false(reel_option_given(&usage, &p, "size"));
}

typedef struct more {
    values own;
    reel_option_list names;
} more;

static void test_options_shared_rows_follow_the_own_and_lists_grow(void **state) {
    (void)state;
    static const reel_option names = {.name = "name",
                                      .value = "TEXT",
                                      .help = "names",
                                      .offset = offsetof(more, names),
                                      .kind = REEL_OPTION_LIST};
    const reel_usage both = {.command = "probe",
                             .summary = "Probe",
                             .option = &names,
                             .n_options = 1,
                             .shared = options,
                             .n_shared = sizeof options / sizeof *options};
    more m = {0};
    reel_parsed p;
    const char *const words[] = {"--name", "a=b", "--threads=9", "--name=c"};
    assert_int_equal(reel_options_parse(&both, 4, words, &m, &p), REEL_OK);
    assert_int_equal(m.names.n, 2);
    assert_string_equal(m.names.text[0], "a=b");
    assert_string_equal(m.names.text[1], "c");
    assert_int_equal(m.own.threads, 9);
    assert_true(m.own.scale == 1.5); /* the default of a shared row */
    assert_true(reel_option_given(&both, &p, "threads"));
    assert_true(reel_option_given(&both, &p, "name"));
    assert_false(reel_option_given(&both, &p, "scale"));
    assert_null(reel_usage_option(&both, both.n_options + both.n_shared));
    const char *const nothing[] = {"--name="};
    assert_int_equal(reel_options_parse(&both, 1, nothing, &m, &p), REEL_E_ARG);
    assert_non_null(strstr(p.message, "--name: got nothing"));
    m.names.n = REEL_MAX_LIST;
    assert_int_equal(reel_options_parse(&both, 2, words, &m, &p), REEL_E_ARG);
    assert_non_null(strstr(p.message, "at most 64"));
}

static void test_options_bytes_have_units(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    static const struct {
        const char *word;
        int64_t want;
    } good[] = {{"--room=1048576", 1 << 20}, {"--room=1M", 1 << 20},    {"--room=1.5G", 3ll << 29},
                {"--room=2GiB", 2ll << 30},  {"--room=1024K", 1 << 20}, {"--room=1T", 1ll << 40},
                {"--room=3MB", 3 << 20}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(PARSE(&v, &p, "x", good[i].word), REEL_OK);
        assert_int_equal(v.room, good[i].want);
    }
    static const char *const bad[] = {
        "0",    "-1",  "1e308", "nan", "G",   "1Q",  "1GG",
        "1.M.", "2T",  "5",     "",    " 1M", "1 M", "9223372036854775808",
        "1Gi",  "0x1M"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[64], given[64];
        snprintf(word, sizeof word, "--room=%s", bad[i]);
        snprintf(given, sizeof given, "'%s'", bad[i]);
        refused(word, "--room", given, "1M to 1T");
    }
}

static void test_options_sizes_are_two_numbers(void **state) {
    (void)state;
    static const char *const bad[] = {"0x0",    "64",      "x64",   "64x",
                                      "64x-48", "64x48x2", "nan",   "15x64",
                                      "64x15",  "8193x64", "1e308", "64 x48",
                                      "64x 48", "64.5x48", "-1",    "64x99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[64], given[64];
        snprintf(word, sizeof word, "--size=%s", bad[i]);
        snprintf(given, sizeof given, "'%s'", bad[i]);
        refused(word, "--size", given, "16 to 8192");
    }
}

static void test_options_bad_seeds_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"-1", "1e308", "nan", "x", "9223372036854775808", "", "1.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[64], given[64];
        snprintf(word, sizeof word, "--seed=%s", bad[i]);
        snprintf(given, sizeof given, "'%s'", bad[i]);
        refused(word, "--seed", given, "0 to 9223372036854775807");
    }
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "x", "--seed=9223372036854775807"), REEL_OK);
    assert_true(v.seed == INT64_MAX);
}

static void test_options_range_ends_are_inside(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "x", "--threads=1", "--scale=2"), REEL_OK);
    assert_int_equal(PARSE(&v, &p, "x", "--threads=256", "--scale=-2"), REEL_OK);
    assert_int_equal(v.threads, 256);
}

static void test_options_bad_counts_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "0",   "257", "-1",  "4x", " 4", "4 ",  "",
        "0x4", "1e2", "4.0", "+",  "-",  "nan", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[64], given[64];
        snprintf(word, sizeof word, "--threads=%s", bad[i]);
        snprintf(given, sizeof given, "'%s'", bad[i]);
        refused(word, "--threads", given, "from 1 to 256");
    }
}

static void test_options_bad_numbers_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"nan", "inf",   "-inf", "2.0001", "-3", "1.5x", "",  "1,5",
                                      "0x1", "1e999", " 1",   "1 ",     "e",  "--1",  "1e"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[64], given[64];
        snprintf(word, sizeof word, "--scale=%s", bad[i]);
        snprintf(given, sizeof given, "'%s'", bad[i]);
        refused(word, "--scale", given, "from -2 to 2");
    }
}

static void test_options_other_mistakes_are_named(void **state) {
    (void)state;
    refused("--isa=sse", "--isa", "'sse'", "portable, avx2 or amx");
    refused("--isa=", "--isa", "''", "portable, avx2 or amx");
    refused("--out=", "--out", "nothing", "FILE");
    refused("--json=yes", "--json", "'yes'", "no value");
    refused("--thread=3", "--thread=3", "no such option", "reel probe --help");
    refused("--threadsx", "--threadsx", "no such option", "--help");
    refused("-k", "-k", "no such option", "--help");
    refused("-s", "--seed", "nothing", "N");
    refused("--threads", "--threads", "nothing", "N");
}

static void test_options_operands_are_counted(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "--json"), REEL_E_ARG);
    assert_non_null(strstr(p.message, "wanted FILE"));
    assert_int_equal(PARSE(&v, &p, "a", "b", "c"), REEL_E_ARG);
    assert_non_null(strstr(p.message, "'c'"));
    assert_int_equal(PARSE(&v, &p, "--", "--json", "-"), REEL_OK);
    assert_string_equal(p.operand[0], "--json");
    assert_string_equal(p.operand[1], "-");
}

static void test_options_help_wins_over_mistakes(void **state) {
    (void)state;
    values v = {0};
    reel_parsed p;
    assert_int_equal(PARSE(&v, &p, "--nonsense", "--help"), REEL_OK);
    assert_true(p.help);
    assert_int_equal(PARSE(&v, &p, "x", "--", "--help"), REEL_OK);
    assert_false(p.help);
}

static void test_options_help_shows_every_row_with_range_and_default(void **state) {
    (void)state;
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);
    assert_non_null(out);
    reel_options_help(&usage, out);
    fclose(out);
    for (int i = 0; i < usage.n_options; i++)
        assert_non_null(strstr(text, options[i].name));
    assert_non_null(strstr(text, "usage: reel probe [OPTION...] FILE"));
    assert_non_null(strstr(text, "1 to 256 (default 4)"));
    assert_non_null(strstr(text, "portable, avx2 or amx"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults_hold_when_nothing_is_given),
        cmocka_unit_test(test_options_values_are_read_in_both_spellings),
        cmocka_unit_test(test_options_short_names_take_values_behind_and_after),
        cmocka_unit_test(test_options_given_tells_what_was_there),
        cmocka_unit_test(test_options_shared_rows_follow_the_own_and_lists_grow),
        cmocka_unit_test(test_options_bytes_have_units),
        cmocka_unit_test(test_options_sizes_are_two_numbers),
        cmocka_unit_test(test_options_bad_seeds_are_refused),
        cmocka_unit_test(test_options_range_ends_are_inside),
        cmocka_unit_test(test_options_bad_counts_are_refused),
        cmocka_unit_test(test_options_bad_numbers_are_refused),
        cmocka_unit_test(test_options_other_mistakes_are_named),
        cmocka_unit_test(test_options_operands_are_counted),
        cmocka_unit_test(test_options_help_wins_over_mistakes),
        cmocka_unit_test(test_options_help_shows_every_row_with_range_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

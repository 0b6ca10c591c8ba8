/* The table and the JSON of a report. */
#include "eval/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/op_check.h"

static void add(reel_report *r, const char *group, const char *name, double value, double real,
                bool share) {
    reel_report_row row = {.value = value, .reference = real, .n = 4, .share = share};
    snprintf(row.section, sizeof row.section, "%s", share ? "judge" : "vae");
    snprintf(row.group, sizeof row.group, "%s", group);
    snprintf(row.name, sizeof row.name, "%s", name);
    assert_int_equal(reel_report_add(r, &row), REEL_OK);
}

static void fill(reel_report *r) {
    add(r, "clips", "psnr", 31.25, (double)NAN, false);
    add(r, "one", "kind", 0.5, 1, true);
    add(r, "one", "color", 0.25, 0.75, true);
    add(r, "two", "kind", 0, 1, true);
}

static void test_report_writes_nested_objects(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_report r;
    reel_json_out out;
    const char *text;
    int64_t bytes;
    reel_report_init(&r, env);
    fill(&r);
    reel_json_out_init(&out, env);
    reel_report_write(&r, &out);
    assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
    assert_string_equal(text, "{\"vae\":{\"clips\":{\"psnr\":{\"value\":31.25,\"n\":4}}},"
                              "\"judge\":{\"one\":{\"kind\":{\"value\":0.5,\"real\":1.0,\"n\":4},"
                              "\"color\":{\"value\":0.25,\"real\":0.75,\"n\":4}},"
                              "\"two\":{\"kind\":{\"value\":0.0,\"real\":1.0,\"n\":4}}}}");
    reel_json_out_deinit(&out);
    reel_report_deinit(&r);
    reel_env_free(&env);
}

typedef struct lines {
    int n;
    char text[8][256];
} lines;

static void take(void *context, const char *text) {
    lines *l = context;
    assert_true(l->n < 8);
    snprintf(l->text[l->n++], 256, "%s", text);
}

static void test_report_prints_real_beside_model(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_report r;
    lines l = {0};
    reel_report_init(&r, env);
    fill(&r);
    reel_report_table(&r, take, &l);
    assert_int_equal(l.n, 5);
    assert_non_null(strstr(l.text[1], "31.25          -"));
    assert_non_null(strstr(l.text[3], "25.0 %     75.0 %"));
    assert_null(strstr(l.text[3], "judge")); /* said once */
    assert_non_null(reel_report_find(&r, "judge", "two", "kind"));
    assert_null(reel_report_find(&r, "judge", "two", "color"));
    reel_report_deinit(&r);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_writes_nested_objects),
        cmocka_unit_test(test_report_prints_real_beside_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "train/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"

static char *place(const char *folder, const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void put_file(reel_env *env, const char *folder, const char *name, const char *text) {
    char path[128];
    assert_int_equal(reel_file_write(env, place(folder, name, path), text, (int64_t)strlen(text)),
                     REEL_OK);
}

static void test_report_draws_what_the_folder_holds(void **state) {
    (void)state;
    char folder[] = "report_test.XXXXXX", path[128], *page;
    int64_t bytes;
    reel_env *env;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    put_file(env, folder, "metrics.jsonl",
             "{\"event\":\"step\",\"step\":1,\"loss\":4}\n"
             "{\"event\":\"step\",\"step\":2,\"loss\":9}\n"
             "{\"event\":\"step\",\"step\":2,\"loss\":2}\n" /* gone on with after a kill */
             "{\"event\":\"validate\",\"step\":2,\"swap\":{\"color\":0.75},\"bad<name>\":1}\n"
             "{\"event\":\"st");
    put_file(env, folder, "recipe.json", "{\"a\":\"<b>&\"}");
    assert_int_equal(reel_folder_make(env, place(folder, "samples", path)), REEL_OK);
    put_file(env, folder, "samples/x.png", "Man!");
    for (int i = 0; i < 2; i++) { /* a set of two, with a prompt below the second */
        put_file(env, folder, i ? "samples/step-9-01.png" : "samples/step-9-00.png", "Ma");
        put_file(env, folder, "samples/step-9-01.txt", "a <red> ball");
    }
    assert_int_equal(reel_report_write(env, folder, "a <run>"), REEL_OK);
    assert_int_equal(
        reel_file_read(env, place(folder, "report.html", path), 1 << 20, &page, &bytes), REEL_OK);
    const char *const parts[] = {"<h1>a &lt;run></h1>",
                                 "loss <b>2</b>",
                                 "points='28.0,4.0 356.0,126.0 '", /* from 4 down to 2 */
                                 "swap color <b>0.75</b>",
                                 "bad&lt;name>",
                                 "base64,TWFuIQ=='",
                                 "<h2>step-9</h2>",
                                 "base64,TWE='></figure>",
                                 "base64,TWE='><figcaption>a &lt;red> ball</figcaption>",
                                 "&lt;b>&amp;"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(page, parts[i])) fail_msg("lacks %s in\n%s", parts[i], page);
    assert_null(strstr(page, "http"));
    reel_free(env, page);
    const char *const made[] = {
        "metrics.jsonl",         "recipe.json",           "samples/x.png",        "report.html",
        "samples/step-9-00.png", "samples/step-9-01.png", "samples/step-9-01.txt"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        unlink(place(folder, made[i], path));
    rmdir(place(folder, "samples", path));
    assert_int_equal(rmdir(folder), 0);
    reel_env_free(&env);
}

static void test_report_of_an_empty_folder_is_a_page(void **state) {
    (void)state;
    char folder[] = "report_test.XXXXXX", path[128];
    reel_env *env;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    assert_int_equal(reel_report_write(env, folder, "nothing"), REEL_OK);
    assert_int_equal(unlink(place(folder, "report.html", path)), 0);
    assert_int_equal(rmdir(folder), 0);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_draws_what_the_folder_holds),
        cmocka_unit_test(test_report_of_an_empty_folder_is_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Clips as files: the JSON says what the scene holds, and no failure leaves a file half written. */
#include "world/clip.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/file.h"
#include "base/json.h"
#include "world/caption.h"

static const reel_clip_request request = {
    .view = {16, 16, 2, 8.0f, 0.0f}, .lossless = true, .masks = true};

typedef struct place {
    reel_env *env;
    char folder[64];
} place;

/* Removes what is in the folder; returns how many files had no name of a clip's. */
static int empty(const place *p) {
    DIR *d = opendir(p->folder);
    int strange = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' && strlen(e->d_name) < 3) continue;
        char path[400];
        snprintf(path, sizeof path, "%s/%s", p->folder, e->d_name);
        static const char *const known[] = {"00000007.mkv", "00000007.masks.mkv", "00000007.txt",
                                            "00000007.json"};
        bool found = false;
        for (int i = 0; i < 4; i++)
            found |= strcmp(known[i], e->d_name) == 0;
        strange += !found;
        unlink(path);
    }
    if (d) closedir(d);
    return strange;
}

static int begin(void **state) {
    place *p = calloc(1, sizeof *p);
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    if (!p || reel_env_new(&options, &p->env) != REEL_OK) return 1;
    const char *tmp = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%.40s/reel-clip.XXXXXX", tmp ? tmp : "/tmp");
    *state = p;
    return mkdtemp(p->folder) == NULL;
}
static int end(void **state) {
    place *p = *state;
    empty(p);
    rmdir(p->folder);
    reel_env_free(&p->env);
    free(p);
    return 0;
}

static reel_scene scene_of(reel_env *env) {
    reel_scene_options o = reel_scene_options_default();
    o.index = 7;
    reel_scene scene;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
    return scene;
}

static void test_clip_truth_says_what_the_scene_holds(void **state) {
    place *p = *state;
    const reel_scene scene = scene_of(p->env);
    const reel_status status = reel_clip_write(p->env, &scene, &request, p->folder);
    if (status == REEL_E_UNSUPPORTED) skip();
    assert_int_equal(status, REEL_OK);
    char path[128];
    snprintf(path, sizeof path, "%s/00000007.json", p->folder);
    char *text;
    int64_t bytes;
    assert_int_equal(reel_file_read(p->env, path, 1 << 20, &text, &bytes), REEL_OK);
    reel_json_doc *doc;
    assert_int_equal(reel_json_parse(p->env, text, bytes, path, &doc), REEL_OK);
    const reel_json root = reel_json_root(doc);
    const char *ground;
    assert_int_equal(reel_json_string(&root, "ground", &ground), REEL_OK);
    assert_string_equal(ground, reel_attribute_value_name(REEL_ATTRIBUTE_GROUND, scene.ground));
    reel_json objects, captions, frames;
    assert_int_equal(reel_json_array(&root, "objects", &objects), REEL_OK);
    assert_int_equal(reel_json_count(&objects), scene.n_objects);
    const reel_json first = reel_json_item(&objects, 0);
    const char *kind;
    assert_int_equal(reel_json_string(&first, "kind", &kind), REEL_OK);
    assert_string_equal(kind, reel_attribute_value_name(REEL_ATTRIBUTE_KIND, scene.object[0].kind));
    assert_int_equal(reel_json_array(&first, "frames", &frames), REEL_OK);
    assert_int_equal(reel_json_count(&frames), 2);
    assert_int_equal(reel_json_array(&root, "captions", &captions), REEL_OK);
    assert_int_equal(reel_json_count(&captions), 6);
    reel_json_free(&doc);
    reel_free(p->env, text);
    assert_int_equal(empty(p), 0);
}

/* Wherever memory or the disk ends: a status, nothing leaked, no file of another name. */
static void test_clip_failures_leave_nothing_half_written(void **state) {
    place *p = *state;
    const reel_scene scene = scene_of(p->env);
    for (int kind = 0; kind < 2; kind++) {
        reel_status status = REEL_E_NOMEM;
        for (int k = 1; k < 400 && status != REEL_OK; k += k < 12 ? 1 : 7) {
            if (kind)
                p->env->faults.io_at = k;
            else
                reel_alloc_fail_at(p->env, k);
            status = reel_clip_write(p->env, &scene, &request, p->folder);
            reel_alloc_fail_at(p->env, 0);
            p->env->faults.io_at = 0;
            if (status == REEL_E_UNSUPPORTED) skip();
            assert_true(status == REEL_OK || status == REEL_E_NOMEM || status == REEL_E_IO);
            assert_int_equal(p->env->allocator.bytes, 0);
            assert_int_equal(empty(p), 0);
            reel_env_clear(p->env);
        }
        assert_int_equal(status, REEL_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_clip_truth_says_what_the_scene_holds, begin, end),
        cmocka_unit_test_setup_teardown(test_clip_failures_leave_nothing_half_written, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

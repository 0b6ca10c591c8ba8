/* Any bytes as JSON and as an index of shards: a refusal with a message, or a document that can be
 * walked to its end, and file names that stay in their folder. What is read is also written again,
 * and must read back.
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "base/env.h"
#include "base/json.h"
#include "base/json_out.h"
#include "tensor/safetensors_set.h"

enum { MAX_DEPTH = REEL_JSON_OUT_DEPTH - 2 };

/* Tries every getter on every value and writes what there is; deeper values are left out. */
static void copy_value(reel_env *env, const reel_json *at, reel_json_out *out, int depth) {
    int64_t i = 0;
    double x = 0;
    bool b = false;
    const char *s = NULL;
    reel_json inside;
    if (depth == MAX_DEPTH) {
        reel_json_out_null(out);
    } else if (reel_json_object(at, NULL, &inside) == REEL_OK) {
        reel_json_out_object_begin(out);
        for (reel_json_entry e = reel_json_first(&inside); e.key; e = reel_json_next(&inside, e)) {
            PROMISE(reel_json_has(&inside, e.key));
            reel_json_out_key(out, e.key);
            copy_value(env, &e.value, out, depth + 1);
        }
        reel_json_out_end(out);
    } else if (reel_json_array(at, NULL, &inside) == REEL_OK) {
        reel_json_out_array_begin(out);
        for (int64_t k = 0; k < reel_json_count(&inside); k++) {
            const reel_json item = reel_json_item(&inside, k);
            copy_value(env, &item, out, depth + 1);
        }
        reel_json_out_end(out);
    } else if (reel_json_int(at, NULL, INT64_MIN, INT64_MAX, &i) == REEL_OK) {
        reel_json_out_int(out, i);
    } else if (reel_json_real(at, NULL, (double)-INFINITY, (double)INFINITY, &x) == REEL_OK) {
        PROMISE(isfinite(x));
        reel_json_out_real(out, x);
    } else if (reel_json_bool(at, NULL, &b) == REEL_OK) {
        reel_json_out_bool(out, b);
    } else if (reel_json_string(at, NULL, &s) == REEL_OK) {
        PROMISE(reel_utf8_valid(s));
        reel_json_out_string(out, s);
    } else {
        reel_json_out_null(out);
    }
    reel_env_clear(env);
}

static void try_document(reel_env *env, const char *text, int64_t bytes) {
    reel_json_doc *doc = NULL;
    const reel_status status = reel_json_parse(env, text, bytes, "fuzz", &doc);
    PROMISE((status == REEL_OK) == (doc != NULL));
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    reel_env_clear(env);
    if (!doc) return;
    reel_json_out out;
    reel_json_out_init(&out, env);
    const reel_json root = reel_json_root(doc);
    copy_value(env, &root, &out, 0);
    const char *written = NULL;
    int64_t n_written = 0;
    PROMISE(reel_json_out_text(&out, &written, &n_written) == REEL_OK);
    reel_json_doc *again = NULL;
    PROMISE(reel_json_parse(env, written, n_written, "written", &again) == REEL_OK);
    reel_json_free(&again);
    reel_json_out_deinit(&out);
    reel_json_free(&doc);
}

static void try_index(reel_env *env, const char *text, int64_t bytes) {
    reel_shard_index index = {0};
    const reel_status status = reel_shard_index_parse(env, text, bytes, "fuzz", &index);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    for (int f = 0; f < index.n_files; f++)
        PROMISE(!strchr(index.file[f], '/') && index.file[f][0] != '.');
    for (int64_t i = 0; i < index.n; i++)
        PROMISE(index.entry[i].file >= 0 && index.entry[i].file < index.n_files);
    reel_shard_index_deinit(&index);
    reel_env_clear(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    try_document(env, (const char *)data, (int64_t)size);
    try_index(env, (const char *)data, (int64_t)size);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}

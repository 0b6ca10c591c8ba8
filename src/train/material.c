#include "train/material.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"

enum { PATH_BYTES = 4096, TOLD_SKIPS = 8 };

/* What listens while clips are opened. */
typedef struct listener {
    const reel_run_options *options;
    const char *kind;
    reel_json_out skipped; /* an array of {"name", "reason"} */
    int64_t n_skipped;
    double told_s; /* when a file was last told of */
    bool stop;
} listener;

static void skipped(void *context, const char *name, const char *reason) {
    listener *l = context;
    if (l->n_skipped++ < TOLD_SKIPS)
        l->stop |= reel_run_tell(l->options, l->kind, "skipped", "%s: %s", name, reason);
    reel_json_out_object_begin(&l->skipped);
    reel_json_out_key(&l->skipped, "name");
    reel_json_out_string(&l->skipped, name);
    reel_json_out_key(&l->skipped, "reason");
    reel_json_out_string(&l->skipped, reason);
    reel_json_out_end(&l->skipped);
}

static bool looking(void *context, int64_t i, int64_t n, const char *name) {
    listener *l = context;
    if (reel_clock_s() - l->told_s < 1) return l->stop; /* thousands may take no time each */
    l->told_s = reel_clock_s();
    return l->stop | reel_run_tell(l->options, l->kind, "prepare", "looking at %s (%lld of %lld)",
                                   name, (long long)i + 1, (long long)n);
}

/* ---- clips.json ---- */

static void put(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}

static reel_status write_summary(reel_env *env, const char *path, const reel_clips_count *n,
                                 const char *fingerprint, const reel_json_out *list) {
    const char *text, *skips;
    int64_t bytes;
    reel_json_out out;
    reel_status status = reel_json_out_text(list, &skips, &bytes);
    if (status != REEL_OK) return status;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    put(&out, "files", n->files);
    put(&out, "clips", n->clips);
    put(&out, "held_out", n->held_out);
    put(&out, "without_captions", n->without_words);
    put(&out, "skipped", n->skipped);
    reel_json_out_key(&out, "fingerprint");
    reel_json_out_string(&out, fingerprint);
    reel_json_out_key(&out, "skipped_files");
    reel_json_out_json(&out, skips);
    reel_json_out_end(&out);
    status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) status = reel_file_write(env, path, text, bytes);
    reel_json_out_deinit(&out);
    return status;
}

/* Whether the clips are others than those of the sitting before. */
static bool changed(reel_env *env, const char *path, const char *fingerprint) {
    reel_json_doc *doc = NULL;
    const char *before = fingerprint;
    if (!reel_path_exists(path)) return false;
    if (reel_json_load(env, path, &doc) == REEL_OK) {
        const reel_json root = reel_json_root(doc);
        if (reel_json_string(&root, "fingerprint", &before) != REEL_OK) before = "";
    }
    reel_env_clear(env); /* one that cannot be read says nothing, and is written anew */
    const bool differs = strcmp(before, fingerprint) != 0;
    reel_json_free(&doc);
    return differs;
}

static reel_status tell_found(reel_env *env, const listener *l, const reel_clips *clips) {
    const reel_clips_count n = reel_clips_get_count(clips);
    const int64_t all = n.clips + n.held_out;
    char path[PATH_BYTES], fingerprint[24];
    snprintf(path, sizeof path, "%s/clips.json", l->options->folder);
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)n.fingerprint);
    reel_run_tell(l->options, l->kind, "prepare",
                  "%lld clips of %lld files, %lld of them held out; %lld without a caption; %lld "
                  "files skipped%s",
                  (long long)all, (long long)n.files, (long long)n.held_out,
                  (long long)n.without_words, (long long)n.skipped,
                  n.skipped > TOLD_SKIPS ? ", all named in clips.json" : "");
    if (changed(env, path, fingerprint))
        reel_run_tell(l->options, l->kind, "prepare",
                      "the clips are not those this run began with: it goes on, but not to the "
                      "bytes it would have reached");
    return write_summary(env, path, &n, fingerprint, &l->skipped);
}

/* ---- opening ---- */

static reel_status open_clips(reel_env *env, listener *l, reel_material *m) {
    const reel_recipe *o = l->options->recipe;
    const char *path[REEL_RECIPE_PATHS];
    char sights[PATH_BYTES];
    for (int64_t i = 0; i < o->data.clips.n; i++)
        path[i] = o->data.clips.item[i];
    const char *cache = o->data.cache[0] ? o->data.cache : l->options->folder;
    reel_status status = reel_folder_make(env, l->options->folder);
    if (status == REEL_OK) status = reel_folder_make(env, cache);
    snprintf(sights, sizeof sights, "%s/clips.jsonl", cache);
    const reel_clips_options options = {.path = path,
                                        .n_paths = o->data.clips.n,
                                        .fps = o->data.fps,
                                        .seed = (uint64_t)o->data.seed,
                                        .bucket = o->data.bucket,
                                        .n_buckets = o->data.n_buckets,
                                        .sights = sights,
                                        .skipped = skipped,
                                        .looking = looking,
                                        .context = l};
    return status == REEL_OK ? reel_clips_open(env, &options, &m->clips) : status;
}

static reel_status open_own(reel_env *env, const reel_run_options *options, const char *kind,
                            int64_t held_bucket, reel_material *m) {
    listener l = {.options = options, .kind = kind};
    reel_json_out_init(&l.skipped, env);
    reel_json_out_array_begin(&l.skipped);
    reel_status status = open_clips(env, &l, m);
    reel_json_out_end(&l.skipped);
    if (status == REEL_OK) status = tell_found(env, &l, m->clips);
    if (status == REEL_OK) status = reel_clips_source(m->clips, false, -1, &m->train);
    if (status == REEL_OK) status = reel_clips_source(m->clips, true, held_bucket, &m->held);
    if (status == REEL_OK && m->held.n_clips == 0) /* none of that size: measured on what trains */
        status = reel_clips_source(m->clips, false, held_bucket, &m->held);
    reel_json_out_deinit(&l.skipped);
    return status;
}

reel_status reel_material_open(reel_env *env, const reel_run_options *options, const char *kind,
                               int64_t held_bucket, reel_material *m) {
    const reel_recipe *o = options->recipe;
    *m = (reel_material){0};
    if (o->data.clips.n > 0 && o->data.drills > 0)
        return reel_fail(env, REEL_E_ARG,
                         "data.drills: got %g, but only the world's clips can be lessons, and "
                         "data.clips names others",
                         o->data.drills);
    if (o->data.clips.n > 0) return open_own(env, options, kind, held_bucket, m);
    m->world = (reel_world_source){
        .seed = (uint64_t)o->data.seed, .split = REEL_SOURCE_TRAIN, .fps = (float)o->data.fps};
    m->held_world = m->world;
    m->held_world.split = REEL_SOURCE_VALIDATION;
    m->train = reel_source_of_world(&m->world);
    m->held = reel_source_of_world(&m->held_world);
    return reel_world_source_set_drills(env, o->data.drills, o->data.drill_on, &m->world);
}

void reel_material_close(reel_material *m) {
    reel_clips_close(&m->clips);
}
